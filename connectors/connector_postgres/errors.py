"""The one exception of this connector, and the codes of its errors: those of PostgreSQL by their names there."""

from __future__ import annotations

# what each means, by the status; SpiffArena tries again on 429 and from 500 on
_BY_STATUS = {
    400: {
        "ValueError": "A parameter or a value has the wrong shape; the message names it",
        "CheckViolation": "A row does not meet a check of the table",
        "DatabaseError": "PostgreSQL refuses with a code that is not in this list; the message has it",
        "DatatypeMismatch": "A value is not of its column's type",
        "DatetimeFieldOverflow": "A text names no date or time that there is",
        "DivisionByZero": "A number is divided by zero",
        "IndeterminateDatatype": "PostgreSQL cannot tell the type of a value; write a cast, such as %s::text",
        "InvalidDatetimeFormat": "A text is no date or time",
        "InvalidTextRepresentation": "A text is not what its column's type takes",
        "NotNullViolation": "A column that must have a value gets none",
        "NumericValueOutOfRange": "A number is too large for its column",
        "StringDataRightTruncation": "A text is too long for its column",
        "SyntaxError": "The SQL is not valid, or is more than one statement",
        "UndefinedColumn": "The table has no such column",
        "UndefinedFunction": "There is no such function, or no such operator for these types",
        "UndefinedObject": "There is no such type",
    },
    403: {
        "InsufficientPrivilege": "The user may not do this",
        "InvalidAuthorizationSpecification": "There is no such user or database, or no way in from the proxy's host",
        "InvalidPassword": "The user or the password is wrong",
    },
    404: {
        "InvalidSchemaName": "There is no such schema",
        "UndefinedTable": "There is no such table",
    },
    409: {
        "DependentObjectsStillExist": "Something else depends on it",
        "DuplicateTable": "The table exists",
        "ExclusionViolation": "The row excludes one that is there",
        "ForeignKeyViolation": "A row refers to one that is not there, or is referred to",
        "UniqueViolation": "There is a row with this key",
    },
    413: {"ResponseTooLarge": "The rows are more than the operator allows"},
    422: {"OutcomeUnknown": "The connection was lost as the changes were kept; look whether they are there"},
    503: {
        "connector_unavailable": "The proxy lacks psycopg, or psycopg lacks libpq; ask the operator",
        "CannotConnectNow": "PostgreSQL starts, stops, recovers, or takes no more connections; try again",
        "ConnectTimeout": "There was no connection in time; nothing was changed, try again",
        "ConnectionFailed": "PostgreSQL cannot be reached, or closed the connection; nothing was changed, try again",
        "DeadlockDetected": "Two commands waited for each other; try again",
        "LockNotAvailable": "Something else holds the row or the table; try again",
        "SerializationFailure": "Another command changed the same rows; try again",
        "StatementTimeout": "It took too long, and was undone; try again",
    },
}
ERRORS = {code: meaning for codes in _BY_STATUS.values() for code, meaning in codes.items()}
_STATUSES = {code: status for status, codes in _BY_STATUS.items() for code in codes}


class PostgresError(Exception):
    """A failure: the code that a boundary event catches, a message for the diagram's author, and an HTTP status."""

    def __init__(self, error_code: str, message: str = "", status: int = 0) -> None:
        super().__init__(message or ERRORS[error_code])
        self.error_code = error_code
        self.status = status or _STATUSES[error_code]


def refuse(message: str) -> PostgresError:
    return PostgresError("ValueError", message)

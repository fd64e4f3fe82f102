"""The error codes of this connector: SQLSTATEs by the names that PostgreSQL gives them."""

from __future__ import annotations

from spiffproxy_http.errors import RequestError

UNFIT = "A value does not fit its column or the statement; the message says why"
CODES: list[tuple[int, str, str]] = [
    (400, "ValueError", "A parameter or a value has the wrong shape; the message names it"),
    (400, "SSLError", "TLS with PostgreSQL failed, or its certificate is not trusted"),
    (400, "NotNullViolation CheckViolation", "A row is not as the table requires"),
    (400, "DatatypeMismatch DatetimeFieldOverflow DivisionByZero InvalidDatetimeFormat", UNFIT),
    (400, "InvalidTextRepresentation NumericValueOutOfRange StringDataRightTruncation", UNFIT),
    (400, "IndeterminateDatatype", "PostgreSQL cannot find out the type of a value; write a cast, such as %s::text"),
    (400, "SyntaxError UndefinedColumn UndefinedFunction UndefinedObject", "The statement is invalid; see the message"),
    (400, "DatabaseError", "PostgreSQL refuses with a code that is not in this list; the message has it"),
    (403, "InvalidPassword", "The user or the password is wrong"),
    (403, "InsufficientPrivilege InvalidAuthorizationSpecification", "The user may not do this, or may not connect"),
    (404, "InvalidSchemaName UndefinedTable", "There is no such schema or table"),
    (409, "DuplicateTable DependentObjectsStillExist", "The table exists, or other objects depend on it"),
    (409, "UniqueViolation ExclusionViolation ForeignKeyViolation", "Another row is in the way, or is missing"),
    (413, "ResponseTooLarge", "The result is larger than the operator allows; ask for less"),
    (422, "OutcomeUnknown", "The changes may have been made or not; check before you try again"),
    (503, "connector_unavailable", "The proxy lacks psycopg, or psycopg lacks libpq; ask the operator"),
    (503, "CannotConnectNow ConnectTimeout ConnectionFailed", "PostgreSQL cannot be reached now; try again"),
    (503, "DeadlockDetected LockNotAvailable SerializationFailure StatementTimeout", "Nothing was changed; try again"),
]
ERRORS = {code: meaning for _, codes, meaning in CODES for code in codes.split()}
STATUSES = {code: status for status, codes, _ in CODES for code in codes.split()}
TRANSIENT = ("08", "40", "53", "57", "58")  # classes of SQLSTATE (PostgreSQL's appendix A)


class PostgresError(RequestError):
    """A failure: the code that a boundary event catches, a message for the diagram's author, and an HTTP status."""

    def __init__(self, error_code: str, message: str = "", status: int = 0) -> None:
        super().__init__(error_code, message or ERRORS[error_code], status or STATUSES[error_code])


def refuse(message: str) -> PostgresError:
    return PostgresError("ValueError", message)

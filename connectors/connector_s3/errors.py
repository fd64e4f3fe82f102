"""The codes that the commands end with."""

from __future__ import annotations

URL_ERRORS = {
    "MissingSchema": "The endpoint does not begin with https:// or http://",
    "InvalidSchema": "The endpoint does not begin with https:// or http://",
    "InvalidURL": "The endpoint is no URL of a host",
}
CLIENT_ERRORS = {
    "ConnectionError": "S3 cannot be reached, or closed the connection; try again",
    "ConnectTimeout": "S3 cannot be reached in time; try again",
    "ReadTimeout": "S3 did not answer in time; try again",
    "ChunkedEncodingError": "The answer was cut short; try again",
    "InvalidResponse": "The response is not valid HTTP; is the endpoint right?",
    "SSLError": "The certificate of S3 is not trusted, or TLS failed",
    "ProxyError": "The HTTP proxy on the way cannot be reached, or refuses",
    "ResponseTooLarge": "The object is larger than the operator allows",
    "HostNotAllowed": "The operator's list of hosts does not have that of S3",
}
OWN_ERRORS = {
    "ValueError": "A parameter has the wrong shape; the message names it",
    "NoCredentials": "There is no access key, neither from the diagram nor from the operator",
}
# those of S3's codes that these commands meet, and some of MinIO's; what is not here is an S3Error
SHARED_ERRORS = {
    **CLIENT_ERRORS,
    **URL_ERRORS,
    **OWN_ERRORS,
    "S3Error": "S3 refuses with a code that is not in this list; the message has it",
    "UnexpectedAnswer": "The response is not what S3 documents; is the endpoint right?",
    "AccessDenied": "The access key may not do this",
    "AccountProblem": "AWS has a problem with the account",
    "AllAccessDisabled": "Nobody may do this any more",
    "AuthorizationHeaderMalformed": "The signature is for another region; the message names the right one if S3 does",
    "ExpiredToken": "The session token has expired",
    "InternalError": "S3 has a fault; try again",
    "InvalidAccessKeyId": "S3 does not know the access key",
    "InvalidArgument": "S3 does not take a parameter; the message says which",
    "InvalidBucketName": "The bucket's name is invalid",
    "InvalidRequest": "S3 does not take the request; the message says why",
    "InvalidToken": "The session token is not valid",
    "MethodNotAllowed": "This cannot be done to it",
    "NoSuchBucket": "The bucket does not exist",
    "NotImplemented": "This S3 cannot do that",
    "OperationAborted": "Another operation is under way; try again",
    "PermanentRedirect": "The bucket is in another region; the message names it if S3 does",
    "RequestTimeTooSkewed": "The clocks of the proxy and of S3 differ too much",
    "RequestTimeout": "S3 did not get the request in time; try again",
    "ServiceUnavailable": "S3 cannot serve now; try again",
    "SignatureDoesNotMatch": "The secret access key is wrong, or something on the way changes the request",
    "SlowDown": "These are more requests than S3 takes; try again",
    "TemporaryRedirect": "The bucket is being moved; try again",
    "TooManyRequests": "These are more requests than S3 takes; try again",
}
OBJECT_ERRORS = {
    **SHARED_ERRORS,
    "KeyTooLongError": "The key has more than 1,024 bytes",
    "NoSuchKey": "There is no object with this key",
    "XMinioInvalidObjectName": "MinIO takes no such key",
}
GET_ERRORS = {
    **OBJECT_ERRORS,
    "InvalidObjectState": "The object is archived; it has to be restored first",
}
PUT_ERRORS = {
    **OBJECT_ERRORS,
    "EntityTooLarge": "S3 takes no object of this size",
    "QuotaExceeded": "The store, or the account, is full",
    "XMinioStorageFull": "MinIO's disks are full",
}
PRESIGN_ERRORS = {**URL_ERRORS, **OWN_ERRORS}

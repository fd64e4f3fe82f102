"""The error codes of the commands, each with its meaning and what to do."""

from __future__ import annotations

URL_ERRORS = {
    "MissingSchema": "the endpoint has no scheme; write https:// in front of it",
    "InvalidSchema": "the endpoint is not an http or https URL; correct it",
    "InvalidURL": "the endpoint is not a valid URL; correct it as the message says",
}
CLIENT_ERRORS = {
    "ConnectionError": "S3 cannot be reached, or closed the connection; try again",
    "ConnectTimeout": "S3 cannot be reached in time; try again",
    "ReadTimeout": "S3 did not respond in time; try again",
    "ChunkedEncodingError": "the response is incomplete; try again",
    "InvalidResponse": "the response is not valid HTTP; check the endpoint",
    "SSLError": "the certificate of S3 is not trusted, or TLS failed; check the endpoint, or ask the operator",
    "ProxyError": "the outbound HTTP proxy cannot be reached, or refuses; ask the operator",
    "ResponseTooLarge": "the object is larger than the operator allows; ask the operator",
    "HostNotAllowed": "the operator does not allow requests to the host of S3; ask the operator",
}
OWN_ERRORS = {
    "ValueError": "a parameter is invalid; correct what the message names",
    "NoCredentials": "an access key or its secret is missing; give both, or ask the operator",
}
# the codes of S3 and MinIO that these commands can get; a code that is not here becomes S3Error
SHARED_ERRORS = {
    **CLIENT_ERRORS,
    **URL_ERRORS,
    **OWN_ERRORS,
    "S3Error": "S3 refuses with a code that is not in this list; the message has the code and S3's words",
    "UnexpectedAnswer": "the response is not what S3 documents; check the endpoint",
    "AccessDenied": "the access key may not do this; ask the owner of the bucket",
    "AccountProblem": "AWS has a problem with the account; ask the owner of the account",
    "AllAccessDisabled": "the bucket or the account is disabled; ask the owner of the bucket",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set region, which the message names if S3 does",
    "ExpiredToken": "the session token has expired; get new keys",
    "InternalError": "S3 has a fault; try again",
    "InvalidAccessKeyId": "S3 does not know the access key; correct access_key_id",
    "InvalidArgument": "S3 refuses a parameter; the message says which",
    "InvalidBucketName": "the bucket's name is invalid; correct it",
    "InvalidRequest": "S3 refuses the request; the message says why",
    "InvalidToken": "the session token is not valid; get new keys",
    "MethodNotAllowed": "S3 does not allow this for the bucket or the object",
    "NoSuchBucket": "The bucket does not exist",
    "NotImplemented": "this S3 server does not support the request",
    "OperationAborted": "another operation is under way; try again",
    "PermanentRedirect": "the bucket is in another region; set region, which the message names if S3 does",
    "RequestTimeTooSkewed": "the clocks of the proxy and of S3 differ by more than 15 minutes; ask the operator",
    "RequestTimeout": "S3 did not get the request in time; try again",
    "ServiceUnavailable": "S3 is not available now; try again",
    "SignatureDoesNotMatch": "the secret access key is wrong, or the request was changed on the way; correct the key",
    "SlowDown": "S3 got too many requests; try again",
    "TemporaryRedirect": "the bucket is being moved; try again",
    "TooManyRequests": "S3 got too many requests; try again",
}
OBJECT_ERRORS = {
    **SHARED_ERRORS,
    "KeyTooLongError": "the key has more than 1,024 bytes; use a shorter one",
    "NoSuchKey": "there is no object with this key; correct the key, or add a boundary event",
    "XMinioInvalidObjectName": "MinIO refuses this key; use another",
}
GET_ERRORS = {
    **OBJECT_ERRORS,
    "InvalidObjectState": "the object is archived; restore it first",
}
PUT_ERRORS = {
    **OBJECT_ERRORS,
    "EntityTooLarge": "the object is larger than S3 allows; store less",
    "QuotaExceeded": "the store, or the account, is full; ask its operator",
    "XMinioStorageFull": "the disks of MinIO are full; ask its operator",
}
PRESIGN_ERRORS = {**URL_ERRORS, **OWN_ERRORS}

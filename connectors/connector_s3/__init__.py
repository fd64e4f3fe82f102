"""The `s3` connector: objects in any store that speaks S3, such as AWS, MinIO or Ceph."""

# ruff: noqa: N802, ARG002 - methods are named after the types that they make, and all have the same parameters
"""Buckets and their keys, repositories of images."""

from __future__ import annotations

import json
from typing import Any

from infra.engine.graph import UNKNOWN
from tests.infra.aws.making import Inputs, Maker, pascal
from tests.infra.aws.server import REGION


class Storage(Maker):
    """S3, KMS and ECR."""

    def _s3(self) -> Any:
        return self.server.client("s3")

    def _kms(self) -> Any:
        return self.server.client("kms")

    def _ecr(self) -> Any:
        return self.server.client("ecr")

    def make_kms_Key(self, name: str, inputs: Inputs) -> None:
        key = self._kms().create_key(Description=inputs["description"])["KeyMetadata"]
        self.ids[f"key {name}"] = key["Arn"]
        if inputs["enableKeyRotation"]:
            self._kms().enable_key_rotation(KeyId=key["KeyId"])

    def read_kms_Key(self, name: str, inputs: Inputs) -> dict[str, Any]:
        arn = self.ids[f"key {name}"]
        return {
            "description": self._kms().describe_key(KeyId=arn)["KeyMetadata"]["Description"],
            "enableKeyRotation": self._kms().get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"],
        }

    def make_kms_Alias(self, name: str, inputs: Inputs) -> None:
        self._kms().create_alias(AliasName=inputs["name"], TargetKeyId=self.ids[f"key {name}"])

    def read_kms_Alias(self, name: str, inputs: Inputs) -> dict[str, Any]:
        arn = self._kms().describe_key(KeyId=inputs["name"])["KeyMetadata"]["Arn"]
        return {"name": inputs["name"]} if arn == self.ids[f"key {name}"] else {}

    def make_s3_Bucket(self, name: str, inputs: Inputs) -> None:
        self._s3().create_bucket(
            Bucket=inputs["bucket"],
            ObjectLockEnabledForBucket=inputs["objectLockEnabled"],
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )

    def read_s3_Bucket(self, name: str, inputs: Inputs) -> dict[str, Any]:
        lock = self._s3().get_object_lock_configuration(Bucket=inputs["bucket"])["ObjectLockConfiguration"]
        return {"bucket": inputs["bucket"], "objectLockEnabled": lock["ObjectLockEnabled"] == "Enabled"}

    def make_s3_BucketPublicAccessBlock(self, name: str, inputs: Inputs) -> None:
        flags = {key: value for key, value in inputs.items() if key != "bucket"}
        self._s3().put_public_access_block(
            Bucket=inputs["bucket"], PublicAccessBlockConfiguration=pascal(flags)
        )

    def read_s3_BucketPublicAccessBlock(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._s3().get_public_access_block(Bucket=inputs["bucket"])["PublicAccessBlockConfiguration"]
        return {"bucket": inputs["bucket"], **{key[0].lower() + key[1:]: it for key, it in found.items()}}

    def make_s3_BucketOwnershipControls(self, name: str, inputs: Inputs) -> None:
        self._s3().put_bucket_ownership_controls(
            Bucket=inputs["bucket"], OwnershipControls={"Rules": [pascal(inputs["rule"])]}
        )

    def read_s3_BucketOwnershipControls(self, name: str, inputs: Inputs) -> dict[str, Any]:
        (rule,) = self._s3().get_bucket_ownership_controls(Bucket=inputs["bucket"])["OwnershipControls"][
            "Rules"
        ]
        return {"bucket": inputs["bucket"], "rule": {"objectOwnership": rule["ObjectOwnership"]}}

    def make_s3_BucketPolicy(self, name: str, inputs: Inputs) -> None:
        self._s3().put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])

    def read_s3_BucketPolicy(self, name: str, inputs: Inputs) -> dict[str, Any]:
        return {
            "bucket": inputs["bucket"],
            "policy": self._s3().get_bucket_policy(Bucket=inputs["bucket"])["Policy"],
        }

    def make_s3_BucketVersioning(self, name: str, inputs: Inputs) -> None:
        self._s3().put_bucket_versioning(
            Bucket=inputs["bucket"], VersioningConfiguration=pascal(inputs["versioningConfiguration"])
        )

    def read_s3_BucketVersioning(self, name: str, inputs: Inputs) -> dict[str, Any]:
        status = self._s3().get_bucket_versioning(Bucket=inputs["bucket"])["Status"]
        return {"bucket": inputs["bucket"], "versioningConfiguration": {"status": status}}

    def make_s3_BucketServerSideEncryptionConfiguration(self, name: str, inputs: Inputs) -> None:
        (rule,) = inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        self._s3().put_bucket_encryption(
            Bucket=inputs["bucket"],
            ServerSideEncryptionConfiguration={
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {
                            "SSEAlgorithm": default["sseAlgorithm"],
                            "KMSMasterKeyID": self.ids[f"key {name}"],
                        },
                        "BucketKeyEnabled": rule["bucketKeyEnabled"],
                    }
                ]
            },
        )

    def read_s3_BucketServerSideEncryptionConfiguration(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._s3().get_bucket_encryption(Bucket=inputs["bucket"])
        (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
        default = rule["ApplyServerSideEncryptionByDefault"]
        assert default["KMSMasterKeyID"] == self.ids[f"key {name}"]
        return {
            "bucket": inputs["bucket"],
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {
                        "kmsMasterKeyId": UNKNOWN,
                        "sseAlgorithm": default["SSEAlgorithm"],
                    },
                    "bucketKeyEnabled": rule["BucketKeyEnabled"],
                }
            ],
        }

    def make_s3_BucketObjectLockConfiguration(self, name: str, inputs: Inputs) -> None:
        self._s3().put_object_lock_configuration(
            Bucket=inputs["bucket"],
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": pascal(inputs["rule"])},
        )

    def read_s3_BucketObjectLockConfiguration(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._s3().get_object_lock_configuration(Bucket=inputs["bucket"])["ObjectLockConfiguration"]
        default = found["Rule"]["DefaultRetention"]
        return {
            "bucket": inputs["bucket"],
            "rule": {"defaultRetention": {"days": default["Days"], "mode": default["Mode"]}},
        }

    def make_s3_BucketLifecycleConfiguration(self, name: str, inputs: Inputs) -> None:
        self._s3().put_bucket_lifecycle_configuration(
            Bucket=inputs["bucket"],
            LifecycleConfiguration={"Rules": pascal(inputs["rules"], id="ID")},
        )

    def read_s3_BucketLifecycleConfiguration(self, name: str, inputs: Inputs) -> dict[str, Any]:
        rules = self._s3().get_bucket_lifecycle_configuration(Bucket=inputs["bucket"])["Rules"]
        wanted = pascal(inputs["rules"], id="ID")
        return dict(inputs) if rules == wanted else {"bucket": inputs["bucket"], "rules": rules}

    def make_s3_BucketLogging(self, name: str, inputs: Inputs) -> None:
        writing = {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{inputs['targetBucket']}/*",
        }
        self._s3().create_bucket(
            Bucket=inputs["targetBucket"], CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self._s3().put_bucket_policy(
            Bucket=inputs["targetBucket"],
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [writing]}),
        )
        target = {key: value for key, value in inputs.items() if key != "bucket"}
        self._s3().put_bucket_logging(
            Bucket=inputs["bucket"], BucketLoggingStatus={"LoggingEnabled": pascal(target)}
        )

    def read_s3_BucketLogging(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._s3().get_bucket_logging(Bucket=inputs["bucket"])["LoggingEnabled"]
        return {
            "bucket": inputs["bucket"],
            "targetBucket": found["TargetBucket"],
            "targetPrefix": found["TargetPrefix"],
        }

    def make_ecr_Repository(self, name: str, inputs: Inputs) -> None:
        (encryption,) = inputs["encryptionConfigurations"]
        self._ecr().create_repository(
            repositoryName=inputs["name"],
            imageTagMutability=inputs["imageTagMutability"],
            imageScanningConfiguration=inputs["imageScanningConfiguration"],
            encryptionConfiguration=encryption,
        )

    def read_ecr_Repository(self, name: str, inputs: Inputs) -> dict[str, Any]:
        (found,) = self._ecr().describe_repositories(repositoryNames=[inputs["name"]])["repositories"]
        return {
            "name": found["repositoryName"],
            "imageTagMutability": found["imageTagMutability"],
            "imageScanningConfiguration": found["imageScanningConfiguration"],
            "encryptionConfigurations": [
                {"encryptionType": found["encryptionConfiguration"]["encryptionType"]}
            ],
        }

    def make_ecr_LifecyclePolicy(self, name: str, inputs: Inputs) -> None:
        self._ecr().put_lifecycle_policy(
            repositoryName=inputs["repository"], lifecyclePolicyText=inputs["policy"]
        )

    def read_ecr_LifecyclePolicy(self, name: str, inputs: Inputs) -> dict[str, Any]:
        found = self._ecr().get_lifecycle_policy(repositoryName=inputs["repository"])
        same = json.loads(found["lifecyclePolicyText"]) == json.loads(inputs["policy"])
        return dict(inputs) if same else found

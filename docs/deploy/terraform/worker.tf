# The worker's role: what `keytrail iam-policy` prints for this deployment, statement by statement.
# A test compares the actions; change both together.

data "aws_iam_policy_document" "worker" {
  #checkov:skip=CKV_AWS_356:Listing trails has no resource to name

  statement {
    sid       = "Queue"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [aws_sqs_queue.announced.arn]
  }

  statement {
    sid       = "TrailObjects"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${aws_s3_bucket.trail.arn}/${local.key_prefix}AWSLogs/*"]
  }

  # Without listing, S3 answers "forbidden" for an object that is gone.
  statement {
    sid       = "TrailBuckets"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [aws_s3_bucket.trail.arn]
  }

  statement {
    sid       = "TrailKey"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.trail.arn]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:aws:cloudtrail:arn"
      values   = ["arn:${local.partition}:cloudtrail:*:*:trail/*"]
    }
  }

  dynamic "statement" {
    for_each = var.lake == null ? [] : [var.lake]

    content {
      sid       = "LakeObjects"
      actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      resources = ["arn:${local.partition}:s3:::${statement.value.bucket}/${statement.value.prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = var.lake == null ? [] : [var.lake]

    content {
      sid       = "LakeList"
      actions   = ["s3:ListBucket"]
      resources = ["arn:${local.partition}:s3:::${statement.value.bucket}"]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = [statement.value.prefix, "${statement.value.prefix}/*"]
      }
    }
  }

  statement {
    sid       = "Trails"
    actions   = ["cloudtrail:DescribeTrails"]
    resources = ["*"]
  }

  statement {
    sid       = "TrailSettings"
    actions   = ["cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus"]
    resources = ["arn:${local.partition}:cloudtrail:*:*:trail/*"]
  }

  dynamic "statement" {
    for_each = length(var.reader_role_arns) == 0 ? [] : [var.reader_role_arns]

    content {
      sid       = "AccountRoles"
      actions   = ["sts:AssumeRole"]
      resources = statement.value
    }
  }

  statement {
    sid       = "NeverValues"
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter*"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = length(var.worker_services) == 0 ? [] : [var.worker_services]

    content {
      sid     = "Services"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "Service"
        identifiers = statement.value
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.worker_principal_arns) == 0 ? [] : [var.worker_principal_arns]

    content {
      sid     = "Principals"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "AWS"
        identifiers = statement.value
      }
    }
  }
}

resource "aws_iam_role" "worker" {
  name               = "${var.name}-worker"
  description        = "Keytrail reads trail objects and nothing that holds a value"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "worker" {
  name   = "keytrail"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

resource "aws_iam_instance_profile" "worker" {
  count = contains(var.worker_services, "ec2.amazonaws.com") ? 1 : 0

  name = "${var.name}-worker"
  role = aws_iam_role.worker.name
  tags = var.tags
}

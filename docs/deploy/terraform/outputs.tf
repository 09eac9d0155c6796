output "queue_url" {
  description = "queue.url of the configuration"
  value       = aws_sqs_queue.announced.url
}

output "dead_letter_queue_url" {
  description = "What nobody could work off; alarm on its depth"
  value       = aws_sqs_queue.dead.url
}

output "bucket" {
  description = "An entry of reconcile.buckets"
  value       = "s3://${aws_s3_bucket.trail.id}/${var.trail_prefix}"
}

output "trail_arn" {
  value       = aws_cloudtrail.trail.arn
  description = "The trail"
}

output "kms_key_arn" {
  description = "--kms-key of `keytrail iam-policy`"
  value       = aws_kms_key.trail.arn
}

output "worker_role_arn" {
  description = "The worker's role"
  value       = aws_iam_role.worker.arn
}

output "configuration" {
  description = "The parts of keytrail.toml that follow from this"
  value       = <<-EOT
    [aws]
    region = "${local.region}"

    [queue]
    url = "${aws_sqs_queue.announced.url}"

    [reconcile]
    buckets = ["s3://${aws_s3_bucket.trail.id}/${var.trail_prefix}"]
  EOT
}

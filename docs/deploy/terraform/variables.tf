variable "name" {
  description = "Name of trail, queue and role, and the beginning of the others' names"
  type        = string
  default     = "keytrail"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 3 to 41 of them, a letter first."
  }
}

variable "bucket_name" {
  description = "Name of the bucket that is made for the trail"
  type        = string
}

variable "trail_prefix" {
  description = "What stands before AWSLogs/ in the bucket; no slash at either end; may be empty"
  type        = string
  default     = ""

  validation {
    condition     = !startswith(var.trail_prefix, "/") && !endswith(var.trail_prefix, "/") && !strcontains(var.trail_prefix, "AWSLogs")
    error_message = "No slash at either end, and no AWSLogs: CloudTrail adds it."
  }
}

variable "organization_id" {
  description = "o-… for a trail of the whole organisation (run this in its management account); empty for this account only"
  type        = string
  default     = ""

  validation {
    condition     = var.organization_id == "" || can(regex("^o-[a-z0-9]{10,32}$", var.organization_id))
    error_message = "An organisation id begins with o-."
  }
}

variable "worker_services" {
  description = "Services whose workloads may be the worker: ec2.amazonaws.com, ecs-tasks.amazonaws.com, …"
  type        = list(string)
  default     = ["ec2.amazonaws.com"]
}

variable "worker_principal_arns" {
  description = "Roles or users that may take on the worker's role, where it does not run on a service above"
  type        = list(string)
  default     = []
}

variable "reader_role_arns" {
  description = "Roles in other accounts whose trail settings are read: the configuration's [[aws.accounts]]"
  type        = list(string)
  default     = []
}

variable "lake" {
  description = "Bucket and prefix of a lake on S3, both without slashes at their ends; null for a lake in a folder"
  type = object({
    bucket = string
    prefix = string
  })
  default = null

  validation {
    condition     = var.lake == null ? true : length(trim(var.lake.prefix, "/")) > 0 && trim(var.lake.prefix, "/") == var.lake.prefix
    error_message = "The prefix may not be empty and has no slash at either end."
  }
}

variable "queue_retention_seconds" {
  description = "How long the queue keeps a notification that nobody worked off; the dead-letter queue keeps it 14 days from its first sending, so this must be well below"
  type        = number
  default     = 604800

  validation {
    condition     = var.queue_retention_seconds >= 86400 && var.queue_retention_seconds <= 1036800
    error_message = "Between one day and twelve days: messages must outlive the queue in the dead-letter queue."
  }
}

variable "max_receive_count" {
  description = "Deliveries before a message moves to the dead-letter queue; more than worker.give_up_after, so that the ledger learns of it first"
  type        = number
  default     = 8

  validation {
    condition     = var.max_receive_count >= 3 && var.max_receive_count <= 1000
    error_message = "Between 3 and 1000."
  }
}

variable "expire_after_days" {
  description = "Days after which the trail's objects expire; 0 keeps them"
  type        = number
  default     = 0

  validation {
    condition     = var.expire_after_days == 0 || var.expire_after_days >= 35
    error_message = "At least 35 days: CloudTrail delivers again for 30."
  }
}

variable "tags" {
  description = "Tags of everything that is made"
  type        = map(string)
  default     = {}
}

variable "app_name" {
  description = "Name of the application."
  type        = string
  default     = "keepalived"
}

variable "base" {
  description = "Base to deploy for. It may be another than that of the machines."
  type        = string
  default     = "ubuntu@24.04"
}

variable "channel" {
  description = "Channel of the store to deploy from."
  type        = string
  default     = "latest/stable"
}

variable "config" {
  description = "Options, as in docs/reference/options.md; virtual_ip is the one that is needed."
  type        = map(string)
  default     = {}
}

variable "constraints" {
  description = "Constraints, for callers that pass them to every module. Juju takes none for a subordinate."
  type        = string
  default     = null
}

variable "model_uuid" {
  description = "UUID of the model to deploy to."
  type        = string
}

variable "revision" {
  description = "Revision of the charm; null: the latest of the channel."
  type        = number
  default     = null
}

# Written from metadata.yaml by make docs.

output "app_name" {
  description = "Name of the application."
  value       = juju_application.keepalived.name
}

output "application" {
  description = "The application, with all that the provider knows of it."
  value       = juju_application.keepalived
}

output "provides" {
  description = "Endpoints that the charm provides, for juju_integration."
  value = {
    ha = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "ha"
      controller = null
    }
    loadbalancer = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "loadbalancer"
      controller = null
    }
    lb_consumers = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "lb-consumers"
      controller = null
    }
    website = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "website"
      controller = null
    }
    cos_agent = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "cos-agent"
      controller = null
    }
  }
}

output "requires" {
  description = "Endpoints that the charm requires, for juju_integration."
  value = {
    juju_info = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "juju-info"
      controller = null
    }
    lb_sink = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = "lb-sink"
      controller = null
    }
  }
}

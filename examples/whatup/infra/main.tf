# What is around the database. These are stand-ins that need no provider, so that the example runs
# without Google; beside each stands what it is there.
terraform {
  backend "local" {} # gcs
}

variable "release" {
  type = string
}

resource "terraform_data" "job" { # google_cloud_run_v2_job
  for_each = toset(["whatup-load", "whatup-schema"])
  input    = "europe-west1-docker.pkg.dev/whatup/jobs/${each.key}:${var.release}"
}

resource "terraform_data" "articles_by_day" { # google_bigquery_table
  input = "stats.articles_by_day"
}

project = "webmev"
tier    = "db-custom-4-15360"

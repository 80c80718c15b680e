//! Google Cloud APIs inside the process of a test.

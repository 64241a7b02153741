//! The contract test-suite, run for the embedded engine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "tests: failing loudly is their job"
)]

use std::sync::Arc;

use async_trait::async_trait;
use store::{
    contract::{Engine, OnStored},
    money::Money,
    sqlite::{self, Options},
    telemetry::Telemetry,
};
use tempfile::TempDir;

struct Sqlite(TempDir);

#[async_trait]
impl Engine for Sqlite {
    async fn open(&self, on_stored: OnStored) -> (Arc<dyn Money>, Arc<dyn Telemetry>) {
        let store = sqlite::open(self.0.path(), Options::new(on_stored)).unwrap();
        (store.money(), store.telemetry())
    }
}

store::contract_tests!(Sqlite(tempfile::tempdir().unwrap()));

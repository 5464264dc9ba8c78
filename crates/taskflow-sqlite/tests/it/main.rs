//! The SQLite store against the contract, one temporary file per case.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use taskflow_sqlite::SqliteStore;
use taskflow_store::Store;
use taskflow_store::conformance::Harness;

mod files;
mod older;
mod sharing;
mod shrinking;
mod sketches;
mod upgrades;

/// Keeps the folder of each open store, by the address of the store.
#[derive(Default)]
struct Files(Mutex<HashMap<usize, (tempfile::TempDir, PathBuf)>>);

static FILES: LazyLock<Files> = LazyLock::new(Files::default);

fn address(store: &Arc<dyn Store>) -> usize {
    Arc::as_ptr(store).cast::<()>() as usize
}

impl Files {
    fn open(&self, folder: tempfile::TempDir, path: PathBuf) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).expect("opens"));
        self.0.lock().expect("no panic").insert(address(&store), (folder, path));
        store
    }
}

#[async_trait]
impl Harness for Files {
    async fn fresh(&self) -> Arc<dyn Store> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks.db");
        self.open(folder, path)
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1, "a case must not keep the store open");
        let (folder, path) =
            self.0.lock().expect("no panic").remove(&address(&store)).expect("it was opened here");
        drop(store);
        self.open(folder, path)
    }

    fn cross_process(&self) -> bool {
        true
    }
}

taskflow_store::conformance!(*FILES);

/// Takes minutes: `cargo test -p taskflow-sqlite --all-features --test it -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_random_commands_match_the_model() {
    use taskflow_store::conformance::random::{Effort, try_commands};
    try_commands(&*FILES, Effort { sequences: 700, commands: 200, seed: 7 });
}

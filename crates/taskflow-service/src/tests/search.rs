//! The sketcher's tick: it takes its time while there is something to sketch, and sleeps when there is not.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::SEARCH_SKETCH_MIN;
use taskflow_store::SearchStore;

use super::{NEVER, Stage};
use crate::duties::Duty;
use crate::duties::search::Sketcher;

const EVERY: Duration = Duration::from_secs(2);

#[tokio::test]
async fn texts_are_sketched_when_there_are_enough_and_it_rests_in_between() {
    let (stage, _folder) = Stage::on_disk(NEVER);
    let mut sketcher = Sketcher::new(Arc::clone(&stage.store) as _);
    let mut tick = async || sketcher.tick(stage.clock.now()).await.unwrap();
    stage.slip_in("a", SEARCH_SKETCH_MIN as usize - 1).await;
    assert_eq!(tick().await, EVERY, "too few for a sketch");
    stage.slip_in("a", 1).await;
    let rest = tick().await;
    assert!(rest >= Duration::from_millis(10), "{rest:?}");
    assert_eq!(stage.store.sketch(1).await.unwrap().texts, 0, "all are sketched");
    assert_eq!(tick().await, EVERY);
}

#[tokio::test]
async fn a_server_s_duties_sketch() {
    let (stage, _folder) = Stage::on_disk(NEVER);
    let names: Vec<&str> = stage.services.duties().iter().map(|duty| duty.name()).collect();
    assert!(names.contains(&"sketcher"), "{names:?}");
}

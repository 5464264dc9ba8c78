//! Which tasks a decision about many can change.

use super::*;
use crate::many::Verdict;
use crate::task::{NewTask, Task};

#[test]
fn a_decision_fits_exactly_the_statuses_that_it_changes() {
    for status in Status::ALL {
        let born = Task::born(id(), NewTask::titled("t", at(0.0)), 0, at(0.0));
        let task = Task { state: Case::that_is(status).state, ..born };
        for verdict in [Verdict::Cancel, Verdict::Retry] {
            let patch = verdict.patch().expect("an edit");
            let changes = patch.plan(&task, at(5.0)).is_ok_and(|plan| plan.step.changed);
            assert_eq!(verdict.fits(status), changes, "{verdict:?} of {status:?}");
        }
        assert!(Verdict::Delete.fits(status));
    }
    assert_eq!(Verdict::Delete.patch(), None);
}

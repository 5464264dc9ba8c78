//! Cases of the room of search: what a text finds, before and after its sketch is made.

use taskflow_core::limits::SEARCH_SKETCH_LEAST;
use taskflow_core::{NewTask, Status, TaskId, TaskPatch, TenantId};

use super::harness::Harness;
use super::stage::{Stage, id, queue, search};
use crate::{Edit, Filter, Page, Paged};

fn of(text: &str) -> Filter {
    Filter { search: Some(search(text)), ..Filter::default() }
}

/// What one page of a search finds, of which `find` says the same.
async fn page(stage: &Stage, filter: Filter, before: Option<TaskId>, limit: u32) -> Paged<i64> {
    let page = Page { filter, before, skip: 0, limit, now: stage.now() };
    let listed = stage.store.list(stage.tenant, page.clone()).await.expect("list works");
    let found = stage.store.find(stage.tenant, page).await.expect("find works");
    let listed = listed.map(|task| task.id.get());
    assert_eq!(found.map(|found| found.id.get()), listed);
    listed
}

/// All that a search finds, and in how many pages.
async fn walked(stage: &Stage, filter: Filter, limit: u32) -> (Vec<i64>, u32) {
    let (mut all, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let found = page(stage, filter.clone(), before, limit).await;
        all.extend(found.items);
        pages += 1;
        match found.rest {
            Some(rest) => before = Some(rest),
            None => return (all, pages),
        }
    }
}

async fn found(stage: &Stage, text: &str) -> Vec<i64> {
    walked(stage, of(text), 1_000).await.0
}

/// Sketches until there is nothing to sketch. On PostgreSQL tasks are settled some steps after their
/// commit.
async fn sketch(stage: &Stage, least: u32) {
    let mut idle = 0;
    while idle < 4 {
        let sketched = stage.store.sketch(least).await.expect("sketch works");
        idle = if sketched.texts > 0 || sketched.more { 0 } else { idle + 1 };
    }
}

/// In the title or in the description, any part, whatever the case; the same when it is sketched.
pub async fn a_search_finds_parts_of_titles_and_descriptions(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let described = |title: &str, text: &str| NewTask {
        description: Some(text.to_owned()),
        ..stage.plan(title)
    };
    stage
        .insert(vec![
            stage.plan("Send invoice INV-004711"),
            described("Report", "About the invoices of März, 100% of them"),
            described("Clean up", ""),
            stage.plan("%_' \" \\ OR 1=1 --"),
        ])
        .await;
    for _ in 0..2 {
        assert_eq!(found(&stage, "invoice").await, [2, 1]);
        assert_eq!(found(&stage, "4711").await, [1]);
        assert_eq!(found(&stage, "711 SEND").await, [1]);
        assert_eq!(found(&stage, "report märz").await, [2]);
        assert_eq!(found(&stage, "\"of märz\"").await, [2]);
        assert_eq!(found(&stage, "\"märz of\"").await, [0_i64; 0]);
        assert_eq!(found(&stage, "100%").await, [2]);
        assert_eq!(found(&stage, "%").await, [4, 2]);
        assert_eq!(found(&stage, "_'").await, [4]);
        assert_eq!(found(&stage, "\\ or").await, [4]);
        assert_eq!(found(&stage, "nowhere").await, [0_i64; 0]);
        sketch(&stage, 1).await;
    }
    let stage = stage.reopen(h).await;
    assert_eq!(found(&stage, "invoice").await, [2, 1]);
    assert_eq!(found(&stage, "clean").await, [3]);
}

/// Edited, deleted, created anew: sketches never hide a task.
pub async fn a_search_follows_edits_births_and_deletes(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((1..=6).map(|n| stage.plan(&format!("first {n}"))).collect()).await;
    sketch(&stage, 1).await;
    let reword = async |n, title: &str, description: Option<&str>| {
        let patch = TaskPatch {
            title: Some(title.to_owned()),
            description: Some(description.map(str::to_owned)),
            ..TaskPatch::default()
        };
        stage.change(Edit { id: id(n), if_version: None, patch }).await;
    };
    reword(2, "reworded", None).await;
    reword(4, "first 4", Some("and described")).await;
    stage.task("first of the new").await;
    reword(7, "the newest", None).await;
    for _ in 0..2 {
        assert_eq!(found(&stage, "reworded").await, [2]);
        assert_eq!(found(&stage, "described").await, [4]);
        assert_eq!(found(&stage, "newest").await, [7]);
        assert_eq!(found(&stage, "first").await, [6, 5, 4, 3, 1]);
        sketch(&stage, 1).await;
    }
    // A text that is too long for any sketch.
    let long: String =
        (0..6_000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    reword(3, "long", Some(&long)).await;
    for _ in 0..2 {
        assert_eq!(found(&stage, &long[20_000..20_100]).await, [3]);
        assert_eq!(found(&stage, "reworded").await, [2]);
        sketch(&stage, 1).await;
    }
    for n in 1..=7 {
        stage.delete(id(n)).await;
    }
    stage.task("after all").await;
    sketch(&stage, 1).await;
    assert_eq!(found(&stage, "first").await, [0_i64; 0]);
    assert_eq!(found(&stage, "after").await, [8]);
}

/// With every other part of a filter, and in the other tenant's tasks never.
pub async fn a_search_goes_with_other_filters(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let new = |n: i64| NewTask {
        queue: queue(["a", "b"][usize::from(n % 2 == 0)]),
        tags: if n % 3 == 0 { vec!["t".into()] } else { Vec::new() },
        ..stage
            .plan(["red apple", "green pear", "green apple"][usize::try_from(n % 3).unwrap_or(0)])
    };
    stage.insert((1..=30).map(new).collect()).await;
    for n in [3, 4, 6, 9] {
        stage.set(id(n), Status::Completed).await;
    }
    let theirs = stage.seen_by(TenantId(2));
    theirs.task("green apple").await;
    for _ in 0..2 {
        let apples = |filter: Filter| Filter { search: Some(search("apple")), ..filter };
        let completed = Filter { status: Some(Status::Completed), ..Filter::default() };
        assert_eq!(walked(&stage, apples(completed), 2).await.0, [9, 6, 3]);
        let in_a = Filter { queue: Some(queue("a")), ..of("apple green") };
        assert_eq!(walked(&stage, in_a, 100).await.0, [29, 23, 17, 11, 5]);
        let tagged = Filter { tag: Some("t".into()), ..of("red") };
        assert_eq!(walked(&stage, tagged.clone(), 100).await.0.len(), 10);
        let none = Filter { search: Some(search("green")), ..tagged };
        assert_eq!(walked(&stage, none, 100).await.0, [0_i64; 0]);
        let of_queue =
            Filter { status: Some(Status::Pending), queue: Some(queue("b")), ..of("red") };
        assert_eq!(walked(&stage, of_queue, 3).await.0, [30, 24, 18, 12]);
        assert_eq!(found(&theirs, "apple").await, [31]);
        assert_eq!(found(&stage, "apple").await.len(), 20);
        sketch(&stage, 1).await;
    }
}

/// A text without a sketch costs its reading: a page has an end even when nothing is found.
pub async fn a_page_of_a_search_ends_early_and_goes_on(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let new = |title: &str| NewTask { queue: queue("hay"), ..stage.plan(title) };
    stage.insert(vec![new("the needle")]).await;
    let texts = 7_500;
    let of = |text: &str| Filter { queue: Some(queue("hay")), ..of(text) };
    for from in (0..texts).step_by(2_500) {
        let hay = (from..texts.min(from + 2_500)).map(|n| new(&format!("hay {n}")));
        stage.insert(hay.collect()).await;
    }
    assert_eq!(walked(&stage, of("needle"), 100).await.0, [1]);
    assert_eq!(walked(&stage, of("a"), 1_000).await.0.len(), texts);
    if !h.sketches() {
        return;
    }
    let first = page(&stage, of("needle"), None, 100).await;
    assert_eq!(first.items, [0_i64; 0]);
    let rest = first.rest.expect("there is more to read");
    assert!(rest.get() > 1, "{rest:?}");
    let (found, pages) = walked(&stage, of("needle"), 100).await;
    assert_eq!(found, [1]);
    assert!((2..20).contains(&pages), "{pages}");
    let (found, pages) = walked(&stage, of("a"), 1_000).await;
    assert_eq!((found.len(), pages), (texts, 8));
    // Its sketches rule all but one of them out.
    sketch(&stage, 100).await;
    assert_eq!(walked(&stage, of("needle"), 100).await, (vec![1], 1));
    assert_eq!(walked(&stage, of("hay 7499"), 100).await, (vec![7_501], 1));
}

/// Each step takes some, and says whether there is more.
pub async fn sketches_are_made_in_steps(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    if !h.sketches() {
        return;
    }
    stage.insert((0..99).map(|n| stage.plan(&format!("t {n}"))).collect()).await;
    sketch(&stage, 100).await;
    assert_eq!(stage.store.sketch(100).await.expect("sketch works").texts, 0, "too few");
    stage.task("one more").await;
    let mut texts = 0;
    for _ in 0..4 {
        texts += stage.store.sketch(100).await.expect("sketch works").texts;
    }
    assert_eq!(texts, 100);
    // Long texts fill a sketch soon, but one of a few is none.
    let words = |n: u64| {
        let word = |at: u64| format!("{:x}", (n * 1_000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..40).map(word).collect::<Vec<_>>().join(" ")
    };
    let long = |n| NewTask { description: Some(words(n)), ..stage.plan("long") };
    stage.insert((0..300).map(long).collect()).await;
    let mut steps = Vec::new();
    for _ in 0..8 {
        let texts = stage.store.sketch(100).await.expect("sketch works").texts;
        if texts > 0 {
            steps.push(texts);
        }
    }
    assert_eq!(steps, [2 * SEARCH_SKETCH_LEAST], "the rest fills none");
    assert_eq!(found(&stage, &words(7)[..150]).await, [108]);
}

//! What charts say of their numbers.

use super::*;

fn times(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("09:{i:02}")).collect()
}

fn about(times: &[String]) -> About<'_> {
    About { id: "c", title: "Throughput", unit: "per minute", times }
}

#[test]
fn scales_end_at_numbers_that_read_well() {
    for (value, top) in
        [(0.0, 2.0), (1.0, 2.0), (3.0, 5.0), (7.0, 10.0), (130.0, 200.0), (501.0, 1000.0)]
    {
        assert_eq!(round_up(value), top, "{value}");
    }
}

#[test]
fn powers_of_ten_are_told_in_their_unit() {
    for (power, words) in [
        (-6.0, "1 µs"),
        (-4.0, "100 µs"),
        (-3.0, "1 ms"),
        (-1.0, "100 ms"),
        (0.0, "1 s"),
        (2.0, "100 s"),
    ] {
        assert_eq!(decade(power), words);
    }
    assert_eq!(decades([0.004, 0.02].into_iter()), (-3.0, -1.0));
    assert_eq!(decades([1.0].into_iter()), (0.0, 2.0));
    assert_eq!(decades([0.0, 0.02].into_iter()), (-3.0, -1.0), "from a millisecond on");
    assert_eq!(decades(std::iter::empty()), (-3.0, 0.0));
}

#[test]
fn bars_stand_on_each_other() {
    let times = times(2);
    let row = |name, values: [f64; 2]| Row { name, class: name, values: values.map(Some).to_vec() };
    let page = bars(
        &about(&times),
        &[row("completed", [3.0, 0.0]), row("failed", [1.0, 0.0])],
        &row("created", [5.0, 1.0]),
    );
    let page = page.into_string();
    assert!(
        page.contains(r#"<rect class="completed" x="0.1" y="40" width="0.8" height="60">"#),
        "{page}"
    );
    assert!(
        page.contains(r#"<rect class="failed" x="0.1" y="20" width="0.8" height="20">"#),
        "{page}"
    );
    assert!(page.contains(r#"d="M0 0H1L1 80H2""#), "{page}");
    assert!(page.contains("completed: 3"), "{page}");
}

#[test]
fn lines_have_gaps_where_nothing_was_measured() {
    let values = [Some(0.01), Some(0.1), None, Some(1.0)];
    assert_eq!(joined(&values, |v| v), "M0.5 0.01L1.5 0.1M3.5 1");
    let times = times(4);
    let row = Row { name: "p50", class: "p50", values: values.to_vec() };
    let page = lines(&about(&times), &[row]).into_string();
    assert!(page.contains("p50: 10 ms") && page.contains("p50: –"), "{page}");
}

#[test]
fn a_chart_of_nothing_says_so() {
    let times = times(3);
    let row = || Row { name: "p50", class: "p50", values: vec![None; 3] };
    assert!(lines(&about(&times), &[row()]).into_string().contains("Nothing happened."));
}

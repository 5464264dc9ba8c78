//! The text of a `.env` file means what python-dotenv takes it for.

use crate::config::dotenv::{Parsed, parse};
use crate::config::{Config, CorsOrigins, Sources};

fn parsed(text: &str) -> Parsed {
    parse(text, |name| (name == "OUTER").then(|| "outside".to_owned()))
}

#[test]
fn one_line_means_what_it_meant_to_the_earlier_service() {
    for (line, value) in [
        ("A=b", "b"),
        ("A = b", "b"),
        ("  export A=b", "b"),
        ("A=two words", "two words"),
        ("A=two words # and a remark", "two words"),
        ("A=b#c", "b#c"),
        ("A=#b", "#b"),
        ("A= # nothing", ""),
        ("A=", ""),
        ("A=\"\"", ""),
        ("A=\"b # c\" # remark", "b # c"),
        ("A='b \"c\"'", "b \"c\""),
        (r#"A="x\ny\t\"z\"\\""#, "x\ny\t\"z\"\\"),
        (r"A='x\ny\'z'", "x\\ny'z"),
        ("A=pa$word", "pa$word"),
        ("A=\"pa$word\"", "pa$word"),
        ("A=[\"*\"]", "[\"*\"]"),
        ("A=[\"http://a\", \"http://b\"]", "[\"http://a\", \"http://b\"]"),
        ("A=b=c", "b=c"),
        ("A=\"b\nc\"", "b\nc"),
        ("A=b\r", "b"),
        ("\u{feff}A=b", "b"),
        ("A=${OUTER}/x", "outside/x"),
        ("A=${NOWHERE:-else}", "else"),
        ("A=x${NOWHERE}y", "xy"),
        ("A='${OUTER}'", "${OUTER}"),
        ("A=${OUTER", "${OUTER"),
    ] {
        let expected = Parsed { pairs: vec![("A".to_owned(), value.to_owned())], faults: vec![] };
        assert_eq!(parsed(line), expected, "{line:?}");
    }
}

#[test]
fn an_earlier_line_of_the_file_wins_over_the_environment_in_a_substitution() {
    let file = parsed("OUTER=inside\nA=${OUTER}\n");
    assert_eq!(file.pairs[1].1, "inside");
}

#[test]
fn a_line_that_is_no_assignment_is_told_by_number_and_the_rest_is_read() {
    let file = parsed("# remark\n\nA=1\nfoo bar\n=x\nB=\"2\" x\r\nC=3\nD='open\nE=5\n");
    let lines: Vec<usize> = file.faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [4, 5, 6, 8]);
    let names: Vec<&str> = file.pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["A", "C", "E"]);
}

#[test]
fn a_file_of_the_earlier_service_is_read_as_it_is() {
    let file = "API_TITLE=My Task Service\nDATABASE_URL=sqlite:///./other.db  # the file\n\
                CORS_ORIGINS=[\"http://localhost:3000\", \"https://app.example.com\"]\n\
                WORKER_POLL_INTERVAL=2\nlog_level=warning\n";
    let config = Config::load(Sources::default().dotenv(file)).unwrap();
    assert_eq!(config.api.title, "My Task Service");
    let origins = ["http://localhost:3000", "https://app.example.com"].map(str::to_owned);
    assert_eq!(config.http.cors_origins, CorsOrigins::Only(origins.to_vec()));
    assert_eq!(config.log.level, tracing::Level::WARN);
}

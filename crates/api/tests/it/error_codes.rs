use std::collections::BTreeSet;
use std::path::Path;

use errand_api::error_code::ErrorCode;

fn pages() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|stem| stem != "README")
        .collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes: BTreeSet<String> =
        ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(codes.len(), ErrorCode::ALL.len(), "a code is used twice");
    assert_eq!(codes, pages());
}

#[test]
fn every_page_says_what_happened_why_and_what_to_do() {
    for code in ErrorCode::ALL {
        let page = code.page();
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], format!("# {code}"), "{code}");
        for part in ["**What happened.**", "**Why.**", "**What to do.**"] {
            assert!(page.contains(part), "{code}: {part} is missing");
        }
        assert!((6..=15).contains(&lines.len()), "{code}: {} lines", lines.len());
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{code}: the end of the page");
        for line in lines {
            assert!(line.chars().count() <= 120, "{code}: a long line: {line}");
        }
    }
}

#[test]
fn titles_are_fragments_and_codes_are_words() {
    for code in ErrorCode::ALL {
        let title = code.title();
        assert!(
            title.starts_with(|c: char| c.is_lowercase() || title.starts_with("JSON")),
            "{title}"
        );
        assert!(!title.ends_with('.'), "{title}");
        assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert_ne!(code.exit_code(), 0, "{code}");
    }
}

#[test]
fn a_code_of_another_version_is_refused_with_its_name() {
    let error = "no_such_code".parse::<ErrorCode>().unwrap_err();
    assert_eq!(error.to_string(), "\"no_such_code\" is not an error code of this version");
}

#[test]
fn the_codes_that_the_model_retries_by_itself_can_be_named_in_a_policy() {
    for code in ErrorCode::ALL {
        if errand_model::retry::is_transient(&(*code).into(), None) {
            assert!(ErrorCode::RETRYABLE.contains(code), "{code}");
        }
    }
}

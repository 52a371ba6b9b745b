//! Text formats of metrics: `OpenMetrics` 1.0 for clients that ask for it, the classic one of
//! Prometheus (0.0.4) for all others.

use axum::http::{HeaderMap, HeaderValue, header};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text format 0.0.4 of Prometheus.
    Classic,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// Returns the format that a client asks for with `Accept`.
    pub(crate) fn asked_for(headers: &HeaderMap) -> Self {
        let accepts = headers.get_all(header::ACCEPT);
        let ranges = accepts.iter().filter_map(|value| value.to_str().ok());
        let (mut open, mut classic) = (0.0, 0.0);
        for range in ranges.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            let weight = weight.unwrap_or(1.0);
            match name.as_str() {
                "application/openmetrics-text" => open = weight.max(open),
                "text/plain" => classic = weight.max(classic),
                _ => {}
            }
        }
        if open > 0.0 && open >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    /// Returns the media type.
    pub(crate) const fn media_type(self) -> HeaderValue {
        match self {
            Self::Classic => HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
            Self::OpenMetrics => HeaderValue::from_static(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
        }
    }

    /// Converts `OpenMetrics` text into this format.
    pub(crate) fn of(self, text: String) -> String {
        match self {
            Self::Classic => classic(&text),
            Self::OpenMetrics => text,
        }
    }
}

/// Converts metrics into the classic format: a counter is described under the name of its samples,
/// and there is neither a unit nor an end marker.
fn classic(text: &str) -> String {
    let kinds: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let described = |name: &str| match kinds.iter().find(|(known, _)| *known == name) {
        Some((_, "counter")) => (format!("{name}_total"), "counter"),
        Some((_, "info")) => (format!("{name}_info"), "gauge"),
        Some((_, kind)) => (name.to_owned(), *kind),
        None => (name.to_owned(), "untyped"),
    };
    let mut classic = String::with_capacity(text.len());
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            classic.push_str(line);
            classic.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let rewritten = match (words.next(), words.next(), words.next()) {
            (Some("TYPE"), Some(name), Some(_)) => {
                let (name, kind) = described(name);
                format!("# TYPE {name} {kind}\n")
            }
            (Some("HELP"), Some(name), help) => {
                format!("# HELP {} {}\n", described(name).0, help.unwrap_or_default())
            }
            _ => continue,
        };
        classic.push_str(&rewritten);
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_clients_that_ask_for_it() {
        let check = |accept: &[&'static str], expected: Format| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(Format::asked_for(&headers), expected, "{accept:?}");
        };
        check(&[], Format::Classic);
        check(&["*/*"], Format::Classic);
        check(&["text/plain"], Format::Classic);
        check(&["application/openmetrics-text"], Format::OpenMetrics);
        check(&["text/plain", "application/openmetrics-text;version=1.0.0"], Format::OpenMetrics);
        check(&["application/openmetrics-text;q=0"], Format::Classic);
        check(&["application/openmetrics-text;q=0.2,text/plain;q=0.5"], Format::Classic);
        // The header that Prometheus sends.
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        check(&[prometheus], Format::OpenMetrics);
    }

    #[test]
    fn the_classic_text_describes_each_metric_by_the_name_of_its_samples() {
        let open = "# HELP a_runs Runs.\n# TYPE a_runs counter\na_runs_total{b=\"# c\"} 1\n\
            # HELP a_wait_seconds Wait.\n# TYPE a_wait_seconds histogram\n# UNIT a_wait_seconds seconds\n\
            a_wait_seconds_sum 1.0\na_wait_seconds_count 1\na_wait_seconds_bucket{le=\"+Inf\"} 1\n\
            # HELP a_build Build.\n# TYPE a_build info\na_build_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_runs_total Runs.\n# TYPE a_runs_total counter\na_runs_total{b=\"# c\"} 1\n\
            # HELP a_wait_seconds Wait.\n# TYPE a_wait_seconds histogram\n\
            a_wait_seconds_sum 1.0\na_wait_seconds_count 1\na_wait_seconds_bucket{le=\"+Inf\"} 1\n\
            # HELP a_build_info Build.\n# TYPE a_build_info gauge\na_build_info{v=\"1\"} 1\n";
        assert_eq!(Format::Classic.of(open.to_owned()), expected);
        assert_eq!(Format::OpenMetrics.of(open.to_owned()), open);
    }
}

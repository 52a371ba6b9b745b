//! Cron lines and time zones.

use errand_model::event::{Missed, Overlap};
use errand_model::{CronExpr, time_zone, time_zone_names};

use super::super::definition::Schedule;
use super::super::reader::{At, Reader};
use super::super::suggest::closest;

const FIELDS: &[&str] = &["cron", "timezone", "input", "missed", "overlap"];
const MISSED: &[(&str, Missed)] =
    &[("fire_once", Missed::FireOnce), ("skip", Missed::Skip), ("fire_all", Missed::FireAll)];
const OVERLAP: &[(&str, Overlap)] =
    &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)];

/// More schedules on one agent are a mistake; each is looked at on every wake.
const MAX_SCHEDULES: usize = 100;

const CRON_HINT: &str = "for example \"0 */5 * * * *\" (seconds first), \"*/5 * * * *\", @hourly \
                         or \"@every 30s\"";

pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Vec<Schedule> {
    let items = reader.list(at);
    if items.len() > MAX_SCHEDULES {
        reader.report(at, format!("there are more than {MAX_SCHEDULES} schedules"));
        return Vec::new();
    }
    let mut schedules: Vec<Schedule> = Vec::new();
    for item in items {
        if let Some(schedule) = schedule(reader, &item) {
            if schedules.contains(&schedule) {
                reader.report(&item, "the same schedule is listed twice");
            } else {
                schedules.push(schedule);
            }
        }
    }
    schedules
}

fn schedule(reader: &mut Reader, at: &At<'_>) -> Option<Schedule> {
    let fields = reader.object(at, FIELDS)?;
    let cron = fields.require(reader, "cron", CRON_HINT).and_then(|at| cron(reader, &at));
    let timezone = match fields.get("timezone") {
        None => Some(Schedule::DEFAULT_TIMEZONE.to_owned()),
        Some(at) => timezone(reader, &at),
    };
    let input = fields.get("input").and_then(|at| reader.json(&at)).unwrap_or_default();
    let missed = fields
        .get("missed")
        .and_then(|at| reader.choice(&at, "what happens to missed slots", MISSED))
        .unwrap_or_default();
    let overlap = fields
        .get("overlap")
        .and_then(|at| reader.choice(&at, "what happens to overlapping slots", OVERLAP))
        .unwrap_or_default();
    Some(Schedule { cron: cron?, timezone: timezone?, input, missed, overlap })
}

fn cron(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let line = reader.text(at)?;
    match CronExpr::parse(&line) {
        Ok(expr) => Some(expr.as_str().to_owned()),
        Err(error) => {
            reader.report_hint(at, error.to_string(), CRON_HINT);
            None
        }
    }
}

fn timezone(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text(at)?;
    if time_zone(&name).is_some() {
        return Some(name);
    }
    let hint = match closest(&name, time_zone_names()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "write an IANA name, such as UTC or Europe/Berlin".to_owned(),
    };
    reader.report_hint(at, format!("{name:?} is not a time zone"), hint);
    None
}

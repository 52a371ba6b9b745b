//! Results of verification.

use errand_api::verification::{VERIFICATION_SCHEMA, Verification, VerificationFinding};

use crate::evidence::{EvidencePlace, Finding, VerifiedRegistry};

/// Returns the document of a verification; `source` is the run or file as the user named it.
pub fn verification(source: &str, verified: &VerifiedRegistry) -> Verification {
    Verification {
        schema: VERIFICATION_SCHEMA,
        source: source.to_owned(),
        run_id: verified.run_id.clone(),
        events: verified.events,
        sealed: verified.is_sealed,
        hash: verified.hash.clone(),
        children: verified.children,
        unbroken: verified.findings.is_empty(),
        findings: verified.findings.iter().map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> VerificationFinding {
    let path = match &finding.place {
        EvidencePlace::Registry => None,
        EvidencePlace::File(path) => Some(path.display().to_string()),
        EvidencePlace::Export(entry) => Some(entry.clone()),
    };
    VerificationFinding {
        place: finding.place.name().to_owned(),
        path,
        event: finding.problem.seq(),
        what: finding.problem.name(),
        message: finding.to_string(),
    }
}

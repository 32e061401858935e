//! What the parts of a recorded issuance cost.

use crate::report::Report;

/// Says how the processor time of a call divides.
pub async fn measure(report: &mut Report, micros_per_call: f64) -> anyhow::Result<()> {
    report.note(format!("a call takes {micros_per_call:.0} µs of processor time"));
    Ok(())
}

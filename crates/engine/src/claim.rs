//! Claims: one version of an object is ingested at a time, the newest one.
//!
//! The ledger holds one claim per object, which names the version that is being ingested. The newest version takes the
//! claim and closes the previous version as superseded. It begins only when no call of the previous version can be
//! under way any more, because a late put would overwrite newer items.

use std::time::Duration;

use super::clock::millis;
use super::error::Error;
use super::ingestion_id::ingestion_id;
use super::ledger::{Claim, Ledger, Meta, Swap};
use super::machine::Phase;
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;

/// How long after the end of a lease a call of its holder may still be under way: the time limits of a call, and some
/// seconds for the difference between clocks.
const GRACE: Duration = Duration::from_secs(25);

/// Whether a version may be ingested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It may: it has the claim.
    Mine {
        /// Whether it has just replaced another version.
        is_new: bool,
    },
    /// It may not: a newer version has the claim.
    Older,
    /// Not yet: calls of the previous version may still be under way.
    Wait {
        /// When the last of these calls has ended, in milliseconds since 1970.
        until_ms: u64,
    },
}

/// Claims the object for this version of it.
pub(super) async fn claim(ledger: &Ledger, source: &Source, now_ms: u64) -> Result<Claimed, Error> {
    let me = ingestion_id(source.identity());
    let name = source.identity().name();
    let mut is_new = false;
    loop {
        // Read the claim before the object: a write over this revision then rests on a later look at the object.
        let held = ledger.claim(&name).await?;
        if let Some(claim) = &held
            && let Some(previous) = &claim.previous
        {
            if let Some(until_ms) = quiet_after(ledger, previous, now_ms).await? {
                return Ok(Claimed::Wait { until_ms });
            }
            // Whether the write succeeded or not: the loop reads the claim again.
            let _again: Swap = ledger.swap_claim(&name, &Claim { previous: None, ..claim.clone() }).await?;
            continue;
        }
        let next = match held {
            Some(claim) if claim.ingestion == me => return Ok(Claimed::Mine { is_new }),
            Some(claim) if !is_newer(source, &claim).await? => return Ok(Claimed::Older),
            Some(claim) => {
                is_new = true;
                Claim { previous: Some(claim.ingestion.clone()), ..claim }
            }
            None => Claim { rev: 0, ingestion: String::new(), modified: None, previous: None },
        };
        let next = Claim { ingestion: me.clone(), modified: source.identity().modified, ..next };
        let _again: Swap = ledger.swap_claim(&name, &next).await?;
    }
}

/// Whether this version still has the claim. Call it after the ingestion is in the ledger: a newer version writes its
/// claim first and then looks for the ingestion to close, so one of the two sees the other.
pub(super) async fn holds(ledger: &Ledger, source: &Source) -> Result<bool, Error> {
    let claim = ledger.claim(&source.identity().name()).await?;
    Ok(claim.is_some_and(|claim| claim.ingestion == ingestion_id(source.identity())))
}

/// Whether this version is newer than the one that has the claim. It is if S3 has it as the current version. If the
/// object has no current version, the version that was stored later is the newer one.
async fn is_newer(source: &Source, claim: &Claim) -> Result<bool, Error> {
    let newest = source.newest().await?;
    Ok(match newest {
        Some(newest) => ingestion_id(&newest) == ingestion_id(source.identity()),
        None => source.identity().modified > claim.modified,
    })
}

/// Closes an ingestion, unless it is over. Returns the time, in milliseconds since 1970, when the last call under a
/// lease of its write pass has ended; none if that time has passed.
async fn quiet_after(ledger: &Ledger, ingestion: &str, now_ms: u64) -> Result<Option<u64>, Error> {
    let Some(meta) = close(ledger, ingestion, IngestionState::Superseded).await? else { return Ok(None) };
    let units = ledger.units(ingestion, meta.attempt, Phase::Write).await?;
    // Workers of a failed attempt may still have been active when this attempt began.
    let before = ledger.units(ingestion, meta.attempt.saturating_sub(1), Phase::Write).await?;
    let ends = units
        .values()
        .chain(before.values())
        .filter_map(|unit| unit.lease.as_ref())
        .map(|lease| lease.until_ms + millis(GRACE));
    Ok(ends.max().filter(|end| *end > now_ms))
}

/// Sets the end state of an ingestion, unless it is over. Returns its state afterwards; none if the ledger does not
/// have it.
///
/// # Errors
/// An error of the ledger.
pub async fn close(ledger: &Ledger, ingestion: &str, state: IngestionState) -> Result<Option<Meta>, Error> {
    close_with(ledger, ingestion, state, None).await
}

/// Does the same as [`close`], and records a cause.
///
/// # Errors
/// An error of the ledger.
pub(crate) async fn close_with(
    ledger: &Ledger,
    ingestion: &str,
    state: IngestionState,
    cause: Option<String>,
) -> Result<Option<Meta>, Error> {
    loop {
        let Some(mut meta) = ledger.meta(ingestion).await? else { return Ok(None) };
        if meta.report.state.is_end() {
            return Ok(Some(meta));
        }
        meta.report.state = state;
        meta.report.cause.clone_from(&cause);
        if ledger.swap_meta(&meta).await? == Swap::Done {
            return Ok(Some(meta));
        }
    }
}

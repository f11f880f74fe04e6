//! One version of an object at a time, the newest first.
//!
//! The ledger says of each object which version is being ingested. The newest version takes that place; the one whose place
//! it takes is closed as superseded, and must have come to rest before the new one begins: its puts would undo newer ones.

use std::time::Duration;

use super::error::Error;
use super::ledger::{Claim, Ledger, Meta, Swap};
use super::machine::Phase;
use super::plan::ingestion_id;
use notaflux_records::source::Source;
use notaflux_table::ingestion::IngestionState;

/// How long after the end of a lease a call that its holder sent may still be under way: the time limits of a call, and
/// some seconds by which clocks differ.
const GRACE: Duration = Duration::from_secs(25);

/// Whether a version may be ingested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It may.
    Mine {
        /// Whether it has taken the place of another version just now.
        is_new: bool,
    },
    /// A newer one is there.
    Older,
    /// The one before it has not come to rest; not before this time, in milliseconds since 1970.
    Wait {
        /// When its last lease will have ended.
        until_ms: u64,
    },
}

/// Claims its object for this version of it.
pub(super) async fn claim(ledger: &Ledger, source: &Source, now_ms: u64) -> Result<Claimed, Error> {
    let me = ingestion_id(source.identity());
    let name = source.identity().name();
    let mut is_new = false;
    loop {
        // Read before the object is looked at: what is written over this revision was decided on what is newest now.
        let held = ledger.claim(&name).await?;
        if let Some(claim) = &held
            && let Some(previous) = &claim.previous
        {
            if let Some(until_ms) = at_rest(ledger, previous, now_ms).await? {
                return Ok(Claimed::Wait { until_ms });
            }
            // Lost or done: what is there is read again.
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

/// Whether the claim is still this version's. Asked once its ledger entry is there: a newer version writes its claim first and
/// then looks for what it has to close, so that one of the two sees the other.
pub(super) async fn holds(ledger: &Ledger, source: &Source) -> Result<bool, Error> {
    let claim = ledger.claim(&source.identity().name()).await?;
    Ok(claim.is_some_and(|claim| claim.ingestion == ingestion_id(source.identity())))
}

/// Whether this version is newer than the one that is claimed: it is if it is what stands there now. Of two that do not
/// stand there any more the one that was made later.
async fn is_newer(source: &Source, claim: &Claim) -> Result<bool, Error> {
    let newest = source.newest().await?;
    Ok(match newest {
        Some(newest) => ingestion_id(&newest) == ingestion_id(source.identity()),
        None => source.identity().modified > claim.modified,
    })
}

/// Closes an ingestion, if it is not over. Gives when the last lease of its write pass will have ended, if one lives.
async fn at_rest(ledger: &Ledger, ingestion: &str, now_ms: u64) -> Result<Option<u64>, Error> {
    let Some(meta) = close(ledger, ingestion, IngestionState::Superseded).await? else { return Ok(None) };
    let units = ledger.units(ingestion, meta.attempt, Phase::Write).await?;
    // Others may have been at an attempt that failed when this one began.
    let before = ledger.units(ingestion, meta.attempt.saturating_sub(1), Phase::Write).await?;
    let grace_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    let ends = units
        .values()
        .chain(before.values())
        .filter_map(|unit| unit.lease.as_ref())
        .map(|lease| lease.until_ms + grace_ms);
    Ok(ends.max().filter(|end| *end > now_ms))
}

/// Moves an ingestion that is not over into an end state. Gives how it stands then; none if nothing is known of it.
///
/// # Errors
/// What the ledger answers.
pub async fn close(ledger: &Ledger, ingestion: &str, state: IngestionState) -> Result<Option<Meta>, Error> {
    close_with(ledger, ingestion, state, None).await
}

/// The same, with a cause.
///
/// # Errors
/// What the ledger answers.
pub async fn close_with(
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

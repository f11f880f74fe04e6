//! What all ingestions of an engine share.

use std::sync::Arc;

use notaflux_table::Table;
use notaflux_write::{Limits, Wire};

use super::clock::{millis, now_ms};
use super::progress_event::Observer;
use super::settings::Settings;
use super::stop_signal::StopSignal;
use super::store::WorkStore;

/// The table, the work store, the settings and the limits of an engine.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) table: Table,
    pub(crate) wire: Arc<Wire>,
    pub(crate) store: WorkStore,
    pub(crate) settings: Settings,
    pub(crate) limits: Arc<Limits>,
    pub(crate) observer: Option<Observer>,
    pub(crate) stop: StopSignal,
}

impl Context {
    /// Returns the time to compare leases with, in milliseconds since 1970: now, or the time when every void lease has
    /// ended, whichever is later.
    pub(crate) fn lease_time_ms(&self) -> u64 {
        let void_until_ms = match self.settings.alone_since_ms {
            0 => 0,
            since_ms => since_ms + millis(self.settings.lease),
        };
        now_ms().max(void_until_ms)
    }
}

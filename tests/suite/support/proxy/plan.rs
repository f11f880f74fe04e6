//! A seeded plan of faults. It prints as one line, and parsing that line gives the same faults.

use std::fmt;
use std::str::FromStr;

/// The rate of each fault. Rates are shares of the calls (for `unprocessed`: of the items), from 0 to 1. The rates of
/// faults that exclude one another add up to at most 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Seed of the random numbers: the n-th call of a plan has the same fault in each run.
    pub seed: u64,
    /// Items of a BatchWriteItem that are left unprocessed; the others are written.
    pub unprocessed: f64,
    /// DynamoDB: 400 with a throttling error and its reasons. S3: 503 `SlowDown`.
    pub throttle: f64,
    /// 500 or 503, not forwarded.
    pub error: f64,
    /// Forwarded after 1 to `delay_ms` milliseconds.
    pub delay: f64,
    pub delay_ms: u64,
    /// Forwarded after exactly `hold_ms` milliseconds.
    pub hold: f64,
    pub hold_ms: u64,
    /// The connection is closed before anything is forwarded.
    pub cut_before: f64,
    /// The connection is closed in the middle of the request: the server sees its beginning.
    pub cut_request: f64,
    /// The connection is closed after the server has done the work, without an answer.
    pub cut_after: f64,
    /// The connection is closed in the middle of the answer's body.
    pub cut_body: f64,
    /// The connection is closed, and the request reaches the server (again, or for the first time) 1 to `replay_ms`
    /// milliseconds later, after later calls have been answered.
    pub replay: f64,
    pub replay_ms: u64,
    /// The operations with faults: names of DynamoDB, or HTTP methods for S3. Empty means all operations.
    pub only: Vec<String>,
    /// Largest number of calls with a fault; no limit if unset.
    pub limit: Option<u64>,
}

/// The fault of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    Throttle,
    Error {
        status: u16,
    },
    /// Forwarded after this number of milliseconds.
    Late {
        ms: u64,
        is_hold: bool,
    },
    CutBefore,
    CutRequest,
    CutAfter,
    CutBody,
    /// Delivered this number of milliseconds after the cut; with `twice`, also at once.
    Replay {
        ms: u64,
        twice: bool,
    },
}

impl Plan {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// A hard test of a writer: 20 % of the items unprocessed, 10 % of the calls throttled, cut, failed or late.
    pub fn rough(seed: u64) -> Self {
        Self {
            seed,
            unprocessed: 0.2,
            throttle: 0.02,
            error: 0.01,
            delay: 0.01,
            delay_ms: 20,
            cut_before: 0.01,
            cut_request: 0.01,
            cut_after: 0.01,
            cut_body: 0.01,
            replay: 0.02,
            replay_ms: 100,
            ..Self::default()
        }
    }

    /// Whether calls of that operation can have faults.
    pub fn concerns(&self, operation: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == operation)
    }

    /// Returns the random numbers of the n-th call.
    pub fn dice(&self, call: u64) -> fastrand::Rng {
        // An odd multiplier gives different random numbers to different calls and seeds.
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(call))
    }

    /// Returns the fault of a call with these random numbers.
    pub fn decide(&self, dice: &mut fastrand::Rng) -> Fault {
        let mut drawn = dice.f64();
        let mut falls = |rate: f64| {
            let is_chosen = drawn < rate;
            drawn -= rate;
            is_chosen
        };
        if falls(self.throttle) {
            Fault::Throttle
        } else if falls(self.error) {
            Fault::Error { status: if dice.bool() { 500 } else { 503 } }
        } else if falls(self.delay) {
            Fault::Late { ms: dice.u64(1..=self.delay_ms.max(1)), is_hold: false }
        } else if falls(self.hold) {
            Fault::Late { ms: self.hold_ms, is_hold: true }
        } else if falls(self.cut_before) {
            Fault::CutBefore
        } else if falls(self.cut_request) {
            Fault::CutRequest
        } else if falls(self.cut_after) {
            Fault::CutAfter
        } else if falls(self.cut_body) {
            Fault::CutBody
        } else if falls(self.replay) {
            Fault::Replay { ms: dice.u64(1..=self.replay_ms.max(1)), twice: dice.bool() }
        } else {
            Fault::None
        }
    }
}

/// Lists every number of a plan with its name, for printing and parsing.
macro_rules! for_each_number {
    ($plan:expr, $with:ident) => {
        $with!(
            $plan,
            unprocessed,
            throttle,
            error,
            delay,
            delay_ms,
            hold,
            hold_ms,
            cut_before,
            cut_request,
            cut_after,
            cut_body,
            replay,
            replay_ms
        )
    };
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = Self::none();
        write!(f, "seed={}", self.seed)?;
        macro_rules! print {
            ($plan:expr, $($name:ident),*) => {
                $(if $plan.$name != none.$name { write!(f, " {}={}", stringify!($name), $plan.$name)?; })*
            };
        }
        for_each_number!(self, print);
        if !self.only.is_empty() {
            write!(f, " only={}", self.only.join(","))?;
        }
        if let Some(limit) = self.limit {
            write!(f, " limit={limit}")?;
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for word in line.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("expected name=value, found {word:?}"))?;
            plan.set(name, value)?;
        }
        Ok(plan)
    }
}

impl Plan {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        macro_rules! read {
            ($plan:expr, $($number:ident),*) => {
                match name {
                    "seed" => $plan.seed = number(name, value)?,
                    "only" => $plan.only = value.split(',').map(str::to_owned).collect(),
                    "limit" => $plan.limit = Some(number(name, value)?),
                    $(stringify!($number) => $plan.$number = number(name, value)?,)*
                    _ => return Err(format!("unknown name in a plan of faults: {name:?}")),
                }
            };
        }
        for_each_number!(self, read);
        Ok(())
    }
}

fn number<N: FromStr>(name: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("{name}: expected a number, found {value:?}"))
}

//! What Redis keeps of a task, read back.

use std::borrow::Cow;
use std::sync::Arc;

use redis::FromRedisValue;
use redis::ParsingError;
use redis::Value;

use crate::domain::arrival::Asked;
use crate::domain::arrival::Unseen;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::TaskId;
use crate::domain::json::Json;
use crate::domain::lease::Fence;
use crate::domain::lease::Lease;
use crate::domain::state::TaskState;
use crate::domain::task::RunError;
use crate::domain::task::Spec;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;

/// One task as the scripts hand it over; empty texts where there is nothing.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) record: Cow<'a, str>,
    pub(super) state: Cow<'a, str>,
    pub(super) fin: Cow<'a, str>,
    pub(super) result: Cow<'a, str>,
    pub(super) place: Cow<'a, str>,
    pub(super) run_at: Cow<'a, str>,
    pub(super) claim: Cow<'a, str>,
    pub(super) node: Cow<'a, str>,
    pub(super) fence: Cow<'a, str>,
    pub(super) lease_end: Cow<'a, str>,
    pub(super) may_expire: Cow<'a, str>,
    pub(super) asked: Cow<'a, str>,
    /// The lease, where the caller knows it: all tasks of a claim share its words.
    pub(super) lease: Option<Lease>,
}

impl FromRedisValue for Row<'_> {
    /// Reads the list that the prelude's `row` makes, and what a listing puts behind it; an empty
    /// list becomes an empty row.
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut texts = Vec::<Lossy>::from_redis_value(value)?.into_iter().map(|text| text.0);
        let mut text = || texts.next().unwrap_or_default().into();
        Ok(Self {
            id: text(),
            record: text(),
            state: text(),
            fin: text(),
            result: text(),
            place: text(),
            run_at: text(),
            claim: text(),
            node: text(),
            fence: text(),
            lease_end: text(),
            may_expire: text(),
            asked: text(),
            lease: None,
        })
    }
}

/// A text whose damaged bytes do not spoil the whole answer.
pub(super) struct Lossy(pub(super) String);

impl FromRedisValue for Lossy {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::BulkString(bytes) => Ok(Self(
                String::from_utf8(bytes)
                    .unwrap_or_else(|damaged| String::from_utf8_lossy(damaged.as_bytes()).into()),
            )),
            other => String::from_redis_value(other).map(Self),
        }
    }
}

/// Why a record cannot be read.
#[derive(Debug)]
pub(super) struct Damaged {
    pub(super) problem: String,
}

impl Damaged {
    fn of(part: &str, problem: impl std::fmt::Display) -> Self {
        Self { problem: format!("{part}: {problem}") }
    }
}

struct Header {
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

/// Fields of a header, in order: callback, priority, queue, group, unique key, kind, `created_at`,
/// `expires_at`, request, outcome.
const HEADER_FIELDS: usize = 10;

fn header(text: &str) -> Result<Header, Damaged> {
    let mut fields = text.split('\t');
    if fields.clone().count() != HEADER_FIELDS {
        return Err(Damaged::of("header", "has another number of fields"));
    }
    let created_at = moment("created_at", fields.nth(6).unwrap_or_default())?;
    let expires_at = optional("expires_at", fields.next().unwrap_or_default())?;
    Ok(Header { created_at, expires_at })
}

#[derive(Default)]
struct Volatile {
    paused_at: Option<Timestamp>,
    planned_at: Option<Timestamp>,
    attempt: u32,
    crashes: u32,
    expiry_cleared: bool,
    errors: Vec<RunError>,
}

fn volatile(text: &str) -> Result<Volatile, Damaged> {
    if text.is_empty() {
        return Ok(Volatile::default());
    }
    let fields: Vec<&str> = text.splitn(7, '\t').collect();
    let [_fence, paused, planned, attempt, crashes, cleared, errors] = fields[..] else {
        return Err(Damaged::of("state", "has too few fields"));
    };
    let errors = if errors.is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(errors).map_err(|e| Damaged::of("errors", e))?
    };
    Ok(Volatile {
        paused_at: optional("paused_at", paused)?,
        planned_at: optional("planned_at", planned)?,
        attempt: number("attempt", attempt)?,
        crashes: number("crashes", crashes)?,
        expiry_cleared: !cleared.is_empty(),
        errors,
    })
}

impl Row<'_> {
    /// Reads the task.
    ///
    /// # Errors
    ///
    /// If a part of it is damaged.
    pub(super) fn read(self) -> Result<TaskRecord, Damaged> {
        let id = TaskId::parse(&self.id).map_err(|e| Damaged::of("id", e))?;
        let (head, spec) =
            self.record.split_once('\n').ok_or_else(|| Damaged::of("header", "is missing"))?;
        let head = header(head)?;
        let spec: Spec = serde_json::from_str(spec).map_err(|e| Damaged::of("spec", e))?;
        let kept = volatile(&self.state)?;
        let (state, finished_at, run_at) = self.moments()?;
        let running = state == TaskState::Running;
        let result = match &*self.result {
            "" => None,
            text => Some(Json::parse(text).map_err(|e| Damaged::of("result", e))?),
        };

        Ok(TaskRecord {
            id,
            spec: Arc::new(spec),
            state,
            created_at: head.created_at,
            run_at,
            planned_at: kept.planned_at.unwrap_or(run_at),
            expires_at: if kept.expiry_cleared { None } else { head.expires_at },
            paused_at: kept.paused_at,
            parked: self.place == "parked",
            attempt: kept.attempt + u32::from(running),
            crashes: kept.crashes,
            errors: kept.errors,
            finished_at,
            result,
            lease: if running { Some(self.lease()?) } else { None },
        })
    }

    /// Reads what nobody is shown of the task, in the answer to a listing.
    ///
    /// # Errors
    ///
    /// If a part of it is damaged.
    pub(super) fn unseen(&self) -> Result<Unseen, Damaged> {
        let last_fence = self.state.split('\t').next().unwrap_or_default();
        let fence = if self.fence.is_empty() { last_fence } else { &self.fence };
        let mut asked = self.asked.split('\t');
        Ok(Unseen {
            fence: match fence {
                "" => None,
                text => Some(Fence(number("fence", text)?)),
            },
            may_expire: !self.may_expire.is_empty(),
            asked: Asked {
                cancel: asked.next() == Some("c"),
                paused_at: optional("asked pause", asked.next().unwrap_or_default())?,
                planned_at: optional("asked time", asked.next().unwrap_or_default())?,
            },
        })
    }

    fn moments(&self) -> Result<(TaskState, Option<Timestamp>, Timestamp), Damaged> {
        if !self.fin.is_empty() {
            let fields: Vec<&str> = self.fin.split('\t').collect();
            let [state, finished_at, run_at] = fields[..] else {
                return Err(Damaged::of("end", "has another number of fields"));
            };
            let state = TaskState::parse(state).ok_or_else(|| Damaged::of("state", state))?;
            let finished_at = moment("finished_at", finished_at)?;
            return Ok((state, Some(finished_at), moment("run_at", run_at)?));
        }
        let state = match &*self.place {
            "running" => TaskState::Running,
            _ => TaskState::Scheduled,
        };
        // A record that an audit has yet to put back stands nowhere and has no moment.
        let run_at =
            if self.run_at.is_empty() { Timestamp::EPOCH } else { moment("run_at", &self.run_at)? };
        Ok((state, None, run_at))
    }

    /// Reads the lease of a running task.
    ///
    /// # Errors
    ///
    /// If a part of it is damaged.
    pub(super) fn lease(&self) -> Result<Lease, Damaged> {
        if let Some(lease) = &self.lease {
            return Ok(lease.clone());
        }
        Ok(Lease {
            node: NodeName::parse(&self.node).map_err(|e| Damaged::of("node", e))?,
            claim_id: ClaimId::parse(&self.claim).map_err(|e| Damaged::of("claim", e))?,
            fence: Fence(number("fence", &self.fence)?),
            expires_at: moment("lease", &self.lease_end)?,
        })
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(
    part: &str,
    text: &str,
) -> Result<T, Damaged> {
    text.parse().map_err(|e| Damaged::of(part, e))
}

fn moment(part: &str, text: &str) -> Result<Timestamp, Damaged> {
    number(part, text).map(Timestamp::from_us)
}

fn optional(part: &str, text: &str) -> Result<Option<Timestamp>, Damaged> {
    if text.is_empty() { Ok(None) } else { moment(part, text).map(Some) }
}

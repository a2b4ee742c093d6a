//! The scripts, each made of its first line, the prelude, and its body with what that includes.

use std::sync::LazyLock;

use redis::Cmd;

use super::keys;

/// A script as the server knows it.
pub(super) struct Script {
    text: String,
    sha: String,
    writes: bool,
}

/// What stands before each script.
const PRELUDE: &str = include_str!("lua/prelude.lua");

/// What a line of a script that starts with these words stands for.
const INCLUDE: &str = "-- include ";

/// What scripts may include.
const PARTS: [(&str, &str); 5] = [
    ("calls", include_str!("lua/calls.lua")),
    ("claims", include_str!("lua/claims.lua")),
    ("hints", include_str!("lua/hints.lua")),
    ("leader", include_str!("lua/leader.lua")),
    ("tasks", include_str!("lua/tasks.lua")),
];

impl Script {
    fn of(body: &str) -> Self {
        Self::after("", body)
    }

    /// The same for the leader alone: a mandate stands before the script's own arguments.
    fn led(body: &str) -> Self {
        let led = include_str!("lua/led.lua");
        Self::after(led.split_once('\n').map_or("", |(_, rest)| rest), body)
    }

    /// Puts what scripts share behind the first line, where `#!lua` and its flags stand, and the parts
    /// that a script includes where it says so.
    fn after(guard: &str, body: &str) -> Self {
        let (shebang, rest) = body.split_once('\n').unwrap_or((body, ""));
        let mut text = format!("{shebang}\n{PRELUDE}");
        for line in guard.lines().chain(rest.lines()) {
            let part = line.trim_start().strip_prefix(INCLUDE).map(|name| {
                let found = PARTS.iter().find(|(part, _)| *part == name);
                found.expect("scripts include what there is").1
            });
            text.push_str(part.unwrap_or(line));
            text.push('\n');
        }
        let sha = redis::Script::new(&text).get_hash().to_owned();
        Self { text, sha, writes: !shebang.contains("no-writes") }
    }

    /// Whether it may change anything.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    /// A call by hash of the keys under `prefix`, without arguments yet; a script that writes is to
    /// leave a mark if `marks` says so.
    pub(super) fn call(&self, prefix: &str, marks: bool) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&self.sha);
        if marks && self.writes {
            cmd.arg(2).arg(prefix).arg(keys::mark(prefix));
        } else {
            cmd.arg(1).arg(prefix);
        }
        cmd
    }

    /// The same call with the whole text, for a server that does not know the hash.
    pub(super) fn in_full(&self, call: &Cmd) -> Cmd {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(&self.text);
        for arg in call.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        }
        cmd
    }
}

macro_rules! scripts {
    ($($name:ident = $made:ident $file:literal),+ $(,)?) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::$made(include_str!($file)));)+

        #[cfg(test)]
        const ALL: &[(&str, &LazyLock<Script>)] = &[$((stringify!($name), &$name)),+];
    };
}

scripts! {
    ACK = of "lua/ack.lua",
    ADD = of "lua/add.lua",
    ADD_ONE = of "lua/add_one.lua",
    CAMPAIGN = of "lua/campaign.lua",
    CHANGE = of "lua/change.lua",
    CLAIM = of "lua/claim.lua",
    CLUSTER = of "lua/cluster.lua",
    DECLARE_ADD = led "lua/add.lua",
    DECLARE_CHANGE = led "lua/change.lua",
    DRAIN = of "lua/drain.lua",
    FETCH = of "lua/fetch.lua",
    GATE = of "lua/gate.lua",
    KEEPS = of "lua/keeps.lua",
    KEEP = of "lua/keep.lua",
    LEASES = of "lua/leases.lua",
    LIST = of "lua/list.lua",
    MAINTAIN = of "lua/maintain.lua",
    PREPARE = of "lua/prepare.lua",
    RAISE = of "lua/raise.lua",
    RECLAIM = of "lua/reclaim.lua",
    RESIGN = of "lua/resign.lua",
    RESTORE = of "lua/restore.lua",
    SET_ASIDE = of "lua/set_aside.lua",
    STATS = of "lua/stats.lua",
    WATCH = of "lua/watch.lua",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is used without being included would only fail where the script comes by.
    #[test]
    fn scripts_include_what_they_use_before_they_use_it() {
        let mut broken = Vec::new();
        for (_, part) in [("prelude", PRELUDE)].iter().chain(&PARTS) {
            for (_, behind) in part.match_indices("\nlocal function ").map(|at| part.split_at(at.0))
            {
                let made = behind.split('(').next().unwrap_or_default();
                let name = made.trim_start_matches("\nlocal function ");
                let uses = |text: &str| {
                    let call = format!("{name}(");
                    let calls = text.match_indices(&call);
                    let starts = calls.map(|(at, _)| text[..at].chars().next_back());
                    starts.flatten().any(|last| !last.is_alphanumeric() && !"_.:".contains(last))
                };
                for (script, all) in ALL {
                    let code = all
                        .text
                        .split("--[[")
                        .map(|text| text.split_once("]]").map_or(text, |(_, code)| code));
                    let code: String = code.collect();
                    let before = code.split(&format!("{made}(")).next().unwrap_or_default();
                    if uses(before) {
                        broken.push(format!("{script}: {name}"));
                    }
                }
            }
        }

        assert!(broken.is_empty(), "used, not made before: {broken:?}");
    }
}

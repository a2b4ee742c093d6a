//! The scripts, each made of its first line, the prelude, and its body.

use std::sync::LazyLock;

use redis::Cmd;

use super::keys;

/// A script as the server knows it.
pub(super) struct Script {
    text: String,
    sha: String,
    writes: bool,
}

impl Script {
    /// Puts the prelude behind the first line, where `#!lua` and its flags stand.
    fn of(body: &str) -> Self {
        let (shebang, rest) = body.split_once('\n').unwrap_or((body, ""));
        let text = format!("{shebang}\n{}\n{rest}", include_str!("lua/prelude.lua"));
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
    ($($name:ident = $file:literal),+ $(,)?) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::of(include_str!($file)));)+
    };
}

scripts! {
    ACK = "lua/ack.lua",
    ADD = "lua/add.lua",
    CAMPAIGN = "lua/campaign.lua",
    CHANGE = "lua/change.lua",
    CLAIM = "lua/claim.lua",
    CLUSTER = "lua/cluster.lua",
    FETCH = "lua/fetch.lua",
    GATE = "lua/gate.lua",
    KEEPS = "lua/keeps.lua",
    KEEP = "lua/keep.lua",
    LEASES = "lua/leases.lua",
    LIST = "lua/list.lua",
    MAINTAIN = "lua/maintain.lua",
    PREPARE = "lua/prepare.lua",
    RAISE = "lua/raise.lua",
    RECLAIM = "lua/reclaim.lua",
    RESIGN = "lua/resign.lua",
    RESTORE = "lua/restore.lua",
    SET_ASIDE = "lua/set_aside.lua",
    STATS = "lua/stats.lua",
    WATCH = "lua/watch.lua",
}

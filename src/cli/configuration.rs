//! `taskshed config`: what is in force, and where each value came from.

use clap::Args;
use clap::Subcommand;

use crate::config::Settings;

use super::arguments::NodeFlags;
use super::failure::Failure;
use super::output;
use super::output::Format;

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting, its value, and where that came from; takes the flags of `node`, too
    Show(Box<NodeFlags>),
}

impl Config {
    /// The flags whose effect is to be shown.
    pub(super) fn node(&self) -> &NodeFlags {
        let ConfigCommand::Show(node) = &self.command;
        node
    }

    #[expect(clippy::unused_self, reason = "what is to be shown was resolved from its flags")]
    pub(super) fn run(&self, settings: &Settings, asked: Option<Format>) -> Result<(), Failure> {
        match Format::chosen(asked) {
            Format::Json => output::json(&settings.shown),
            Format::Jsonl => settings.shown.iter().try_for_each(output::json),
            Format::Table => {
                let rows = settings.shown.iter().map(|shown| {
                    vec![shown.setting.clone(), shown.value.clone(), shown.from.to_string()]
                });
                output::table(&["SETTING", "VALUE", "FROM"], rows)
            }
        }
    }
}

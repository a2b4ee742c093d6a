//! The commands of the binary: arguments in, text and an exit code out.
//!
//! The composition root: the only place that knows every part. It holds no rule that a user of the
//! library would miss; what a server can check is checked there.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | refused or failed, or an id was missing |
//! | 2 | usage: arguments, environment or configuration file |
//! | 3 | store or server out of reach |

mod add;
mod arguments;
mod bench;
mod changes;
mod client;
mod cluster;
mod completions;
mod configuration;
mod copy;
#[cfg(feature = "sqlite")]
mod demo;
mod doctor;
mod events;
mod failure;
mod import;
mod logging;
mod migrate;
mod node;
mod output;
mod queues;
mod schedules;
mod store;
mod tasks;
#[cfg(feature = "otlp")]
mod traces;

use std::env;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Environment;
use crate::config::File;
use crate::config::Settings;
use crate::domain::trace::TraceContext;
use crate::handlers::exec;

use self::arguments::Arguments;
use self::arguments::Command;
use self::client::Client;
use self::failure::Failure;
use self::output::Format;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = exec::run_helper(env::args_os()) {
        return code;
    }
    #[cfg(feature = "sqlite")]
    if let Some(code) = demo::run_handler(env::args_os()) {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _nowhere_to_tell_else = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };

    match run(&arguments) {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => {
            let _nowhere_to_tell_else = writeln!(io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Command::Completions(completions) = &arguments.command {
        return completions.run();
    }

    let variables = Environment::of_process();
    let named = arguments.config.clone().or(variables.text("TASKSHED_CONFIG").map(Into::into));
    let file = File::read(named.as_deref())?;
    let settings = Settings::resolve(&arguments.flags(), &variables, &file)?;
    let declared = schedules::declared(&settings)?;
    logging::start(&settings, arguments)?;
    match &arguments.command {
        Command::Completions(completions) => completions.run(),
        Command::Config(config) => config.run(&settings, arguments.output),
        Command::Node(command) if command.order().is_none() => {
            node::run(&settings, &variables, declared)
        }
        #[cfg(feature = "sqlite")]
        Command::Demo(demo) => demo.run(),
        Command::Doctor(_) => doctor::run(&settings, arguments.output),
        Command::Migrate(_) => migrate::run(&settings),
        Command::Copy(copy) => copy.run(&settings, arguments.output),
        Command::Import(import) => import.run(&settings, arguments.output),
        Command::Bench(bench) => bench.run(&settings, arguments.output),
        asked => {
            let trace = variables.text("TRACEPARENT").and_then(TraceContext::parse);
            let client = Client::new(&settings.server, settings.token.as_ref(), trace)?;
            ask(asked, arguments.output, &client)
        }
    }
}

/// Runs a command that talks to a node's API.
fn ask(command: &Command, output: Option<Format>, client: &Client) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Add(add) => add.run(client).await,
            Command::List(list) => list.run(client, output).await,
            Command::Show(show) => show.run(client, output).await,
            Command::Pause(change) => change.run(client, "pause").await,
            Command::Resume(change) => change.run(client, "resume").await,
            Command::Cancel(change) => change.run(client, "cancel").await,
            Command::Remove(change) => change.run(client, "remove").await,
            Command::Retry(change) => change.run(client, "retry").await,
            Command::Reschedule(change) => change.run(client).await,
            Command::Queues => queues::list(client, output).await,
            Command::Queue(queue) => queue.run(client).await,
            Command::Nodes => cluster::nodes(client, output).await,
            Command::Events => events::follow(client, output).await,
            Command::Leader(leader) => leader.run(client, output).await,
            Command::Node(command) => match command.order() {
                Some(order) => order.run(client).await,
                None => Ok(()),
            },
            #[cfg(feature = "sqlite")]
            Command::Demo(_) => Ok(()),
            Command::Doctor(_)
            | Command::Migrate(_)
            | Command::Copy(_)
            | Command::Import(_)
            | Command::Bench(_)
            | Command::Config(_)
            | Command::Completions(_) => Ok(()),
        }
    })
}

//! Rust functions with typed arguments and results.

use std::future::Future;
use std::marker::PhantomData;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::json::Json;

use super::Context;
use super::Handler;
use super::Running;
use super::TaskError;

/// Makes a handler of an async function of a [`Context`] and its arguments.
///
/// Arguments are read from the task's `kwargs`. If they have another shape, the task is dead at
/// once: the same JSON would not fit at the next attempt either. The result becomes JSON; `()`
/// becomes no result.
pub fn typed<F, Fut, Args, Output>(function: F) -> impl Handler
where
    F: Fn(Context, Args) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Output, TaskError>> + Send + 'static,
    Args: DeserializeOwned + Send + 'static,
    Output: Serialize + Send + 'static,
{
    Typed { function, arguments: PhantomData }
}

struct Typed<F, Args> {
    function: F,
    arguments: PhantomData<fn(Args)>,
}

impl<F, Fut, Args, Output> Handler for Typed<F, Args>
where
    F: Fn(Context, Args) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Output, TaskError>> + Send + 'static,
    Args: DeserializeOwned + Send + 'static,
    Output: Serialize + Send + 'static,
{
    fn run(&self, context: Context) -> Running {
        let arguments = match context.task().spec.kwargs.read::<Args>() {
            Ok(arguments) => arguments,
            Err(error) => {
                let error = TaskError::dead(format!("kwargs do not fit the handler: {error}"));
                return Box::pin(std::future::ready(Err(error)));
            }
        };

        answering((self.function)(context, arguments))
    }
}

/// The run of a handler with this future, and nothing more to carry: an async block would keep room for
/// the future twice, where it comes from and where it is waited for.
fn answering<Output: Serialize + 'static>(
    future: impl Future<Output = Result<Output, TaskError>> + Send + 'static,
) -> Running {
    Box::pin(future.map(|answer| result_json(&answer?)))
}

fn result_json(output: &impl Serialize) -> Result<Option<Json>, TaskError> {
    let json = Json::of(output)
        .map_err(|error| TaskError::dead(format!("the result cannot be JSON: {error}")))?;
    Ok((json.as_str() != "null").then_some(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_carries_the_future_of_its_handler_once() {
        let state = [0_u8; 1000];
        let handler = async move {
            std::future::pending::<()>().await;
            Ok(state.len())
        };
        let own = size_of_val(&handler);

        let run = answering(handler);

        assert!(size_of_val(&*run) < own + 100, "{} for {own}", size_of_val(&*run));
    }
}

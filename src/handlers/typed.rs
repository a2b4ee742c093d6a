//! Rust functions with typed arguments and results.

use std::future::Future;
use std::marker::PhantomData;

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

        let run = (self.function)(context, arguments);
        Box::pin(async move { result_json(&run.await?) })
    }
}

fn result_json(output: &impl Serialize) -> Result<Option<Json>, TaskError> {
    let json = Json::of(output)
        .map_err(|error| TaskError::dead(format!("the result cannot be JSON: {error}")))?;
    Ok((json.as_str() != "null").then_some(json))
}

//! Runs test cases, and names those that this machine cannot run together with the reason.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::cgroup;
use crate::evidence;
use crate::netns;
use crate::report;
use crate::requirement::{Requirement, must_all_run};
use crate::scratch;

/// Cases wait more than they work, so that there may be more of them than processors.
const THREADS: usize = 4;

/// The names of the only cases that are meant, suites in front and apart by commas; all where it is not
/// set.
const ONLY: &str = "SYNFIN_TESTS";

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: a sentence.
    pub name: &'static str,
    /// What it needs.
    pub needs: Vec<Requirement>,
    /// The test itself.
    pub body: fn() -> Result<()>,
}

/// The [`Case`]s of a module: what they need, then the functions.
#[macro_export]
macro_rules! cases {
    ($needs:expr; $($name:ident),+ $(,)?) => {
        vec![$($crate::suite::Case {
            name: concat!(module_path!(), "::", stringify!($name)),
            needs: ($needs).to_vec(),
            body: $name,
        }),+]
    };
}

/// Runs the cases as the arguments of the command line say.
#[must_use]
pub fn run(cases: Vec<Case>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if !arguments.list && Requirement::Root.lack().is_none() {
        netns::sweep();
        scratch::sweep();
        cgroup::sweep();
    }
    arguments.test_threads.get_or_insert(THREADS);
    let only = env::var(ONLY).ok();
    let is_meant = |case: &Case| {
        let mut names = only.iter().flat_map(|names| names.split(','));
        only.is_none() || names.any(|name| name == case.name)
    };
    let trials = cases.into_iter().filter(is_meant).map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(case: Case) -> Trial {
    // The name of the target is in front of every module's path already.
    let name = case
        .name
        .split_once("::")
        .map_or(case.name, |(_, name)| name);
    Trial::ignorable_test(name, move || {
        let (mut optional, mut lacks) = (Vec::new(), Vec::new());
        for need in &case.needs {
            let list = if need.is_optional() {
                &mut optional
            } else {
                &mut lacks
            };
            list.extend(need.lack());
        }
        if must_all_run() && !lacks.is_empty() {
            let reason = lacks.join(", ");
            return Err(format!("may not be left out where CI is set: {reason}").into());
        }
        lacks.extend(optional);
        if lacks.is_empty() {
            return attempt(case.body).map(|()| Completion::Completed);
        }
        let reason = lacks.join(", ");
        report::tell_not_run(name, &reason).map_err(|error| format!("{error:?}"))?;
        Ok(Completion::ignored_with(reason))
    })
}

fn attempt(body: fn() -> Result<()>) -> Result<(), Failed> {
    let outcome = catch_unwind(AssertUnwindSafe(body));
    let evidence = evidence::take();
    let failure = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => format!("{error:?}"),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
            message.unwrap_or("it panicked").to_owned()
        }
    };
    Err(format!("{failure}\n{evidence}").into())
}

//! A search for trouble that ends after a time.

use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Tries a test with one value after another, for so long.
pub fn seek<S: Strategy>(
    limit: Duration,
    values: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let end = Instant::now() + limit;
    let config = Config { cases: 1, failure_persistence: None, ..Config::default() };
    while Instant::now() < end {
        // A runner counts its cases, so one that has run does nothing more.
        TestRunner::new(config.clone()).run(values, &test).unwrap();
    }
}

//! Test results as a JUnit report, which CI systems show.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::cases::{CaseResult, Outcome};

/// Writes a report with one suite per workflow.
pub fn report(results: &[CaseResult]) -> Result<String, SerializeError> {
    let mut report = Report::new("comfy-runner test");
    for suite in results.chunk_by(|one, next| one.workflow == next.workflow) {
        let mut cases = TestSuite::new(suite[0].workflow.as_str());
        cases.add_test_cases(suite.iter().map(test_case));
        report.add_test_suite(cases);
    }
    report.to_string()
}

fn test_case(result: &CaseResult) -> TestCase {
    let status = match result.outcome {
        Outcome::Passed | Outcome::Updated => TestCaseStatus::success(),
        Outcome::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(
                result.failures.first().map_or("", |failure| failure.lines().next().unwrap_or_default()),
            );
            status.set_description(result.failures.join("\n"));
            status
        }
    };
    let mut case = TestCase::new(result.name.as_str(), status);
    case.set_classname(format!("{}/{}", result.workflow, result.file));
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_suite_for_each_workflow_and_the_failures_of_each_case() {
        let result = |workflow: &str, outcome, failures: &[&str]| CaseResult {
            workflow: workflow.to_owned(),
            file: "a.yaml".to_owned(),
            name: "thirty <steps>".to_owned(),
            outcome,
            failures: failures.iter().map(|failure| (*failure).to_owned()).collect(),
        };
        let results =
            [result("one", Outcome::Passed, &[]), result("two", Outcome::Failed, &["/3 is 1; it must be 2"])];
        let xml = report(&results).unwrap();
        assert!([r#"tests="2""#, r#"failures="1""#].iter().all(|count| xml.contains(count)), "{xml}");
        assert!(xml.contains("thirty &lt;steps&gt;") && xml.contains("/3 is 1; it must be 2"), "{xml}");
        assert_eq!(xml.matches("<testsuite ").count(), 2);
    }
}

//! What is worth most on another kernel, in the few minutes that continuous integration has for it.

/// Separates names in [`VARIABLE`].
const SEPARATOR: &str = ",";

/// The variable that tells the suites which of their tests are meant.
pub(crate) const VARIABLE: &str = "SYNFIN_TESTS";

/// Tests by suite, module and function.
const TESTS: [&str; 13] = [
    // Each program is loaded, with the least and with the most of its options; and it sees what user space
    // sees.
    "kernel::budget::programs_without_options_take_at_most_half_of_the_verifiers_limit",
    "kernel::budget::programs_that_do_both_take_at_most_half_of_the_verifiers_limit",
    "kernel::parity::the_completing_event_carries_the_whole_opening",
    // Each hook, asked for and by itself, both ways and one; a refusal in its words.
    "live::devices::veth",
    "live::attaching::a_nic_that_has_a_program_already_refuses_a_second_one_in_plain_words",
    "live::attaching::detach_leaves_alone_what_runs_and_what_others_own",
    "live::attaching::what_a_killed_one_left_goes_at_the_next_start",
    // Whole connections, with each step and number of them.
    "live::article::the_articles_ftp_connection_number_for_number_by_clsact",
    "live::article::the_articles_ftp_connection_number_for_number_by_native_xdp",
    "live::interfaces::an_interface_that_goes_down_is_traced_again_when_it_comes_up",
    "live::odd_frames::a_connection_inside_two_vlan_tags_is_told_with_both",
    // Nothing stays.
    "live::looking::nothing_is_left_after_an_interrupt",
    "live::looking::nothing_is_left_after_a_kill",
];

/// What [`VARIABLE`] is set to.
pub(crate) fn tests() -> String {
    TESTS.join(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_test_that_is_named_is_there() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for test in TESTS {
            let (module, function) = test.rsplit_once("::").unwrap();
            let file = workspace.join("tests").join(module.replace("::", "/"));
            let source = fs::read_to_string(file.with_extension("rs")).unwrap();
            assert!(source.contains(&format!("fn {function}(")), "{test}");
        }
    }
}

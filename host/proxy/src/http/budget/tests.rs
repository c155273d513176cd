use crate::http::budget::{Account, Budget, ENTRY, Holder, MUCH, REST};

#[test]
fn a_text_is_held_until_nothing_refers_to_it() {
    let budget = Budget::new(100);
    let account = Account::new(&budget);
    let text = account.hold(vec![0; 60]);
    let part = text.slice(10..20);
    drop(text);
    assert_eq!((budget.used(), account.held(), budget.is_over()), (60, 60, false));
    let more = account.hold(vec![0; 60]);
    assert!(budget.is_over());
    drop((part, more));
    assert_eq!((budget.used(), account.held()), (0, 0));
}

#[test]
fn a_written_off_account_is_given_back_once() {
    let budget = Budget::new(100);
    let (one, other) = (Account::new(&budget), Account::new(&budget));
    let (text, kept) = (one.hold(vec![0; 60]), other.hold(vec![0; 50]));
    one.write_off();
    assert_eq!((budget.used(), one.is_written_off()), (50, true));
    drop(text);
    assert_eq!(budget.used(), 50);
    drop(kept);
    assert_eq!(budget.used(), 0);
}

#[test]
fn the_largest_body_of_who_holds_most_makes_room() {
    let budget = Budget::new(100);
    let greedy = budget.session("greedy");
    let (mut small, mut large) = (budget.read_body(greedy), budget.read_body(greedy));
    let mut other = budget.read_body(budget.session("other"));
    small.add(30);
    large.add(40);
    other.add(60);
    let bodies = budget.bodies_by_holder();
    assert!(budget.is_over() && bodies[&greedy] == 70);
    assert!(budget.drop_body(&bodies, None));
    assert!(large.dropped.is_cancelled() && !small.dropped.is_cancelled() && !other.dropped.is_cancelled());
    drop(large);
    assert_eq!(budget.used(), 90);
    // All else that a session holds counts with its bodies.
    assert!(budget.drop_body(&budget.bodies_by_holder(), Some((greedy, 70))));
    assert!(small.dropped.is_cancelled() && !other.dropped.is_cancelled());
    assert!(!budget.drop_body(&budget.bodies_by_holder(), Some((greedy, 70))), "it has no body left");
    drop((small, other));
    assert_eq!((budget.used(), budget.drop_body(&budget.bodies_by_holder(), None)), (0, false));
}

#[test]
fn a_body_that_has_ended_meanwhile_costs_nobody_else_anything() {
    let budget = Budget::new(100);
    let (one, other) = (budget.session("one"), budget.session("other"));
    let mut body = budget.read_body(other);
    body.add(60);
    let bodies = budget.bodies_by_holder();
    drop(body);
    assert!(budget.drop_body(&bodies, Some((one, 50))), "another one held most");
    assert!(!budget.drop_body(&budget.bodies_by_holder(), Some((one, 50))), "it does now, and has no body");
}

#[test]
fn bodies_of_no_session_count_together_and_lines_each_by_themselves() {
    let budget = Budget::new(100);
    let hold = |holder: Holder, bytes: usize| {
        let mut body = budget.read_body(holder);
        body.add(bytes);
        body
    };
    let one = budget.session("one");
    let kept = (hold(one, 50), hold(budget.line(), 40), hold(budget.line(), 40));
    let of_nobody = [hold(Holder::NoSession, 20), hold(Holder::NoSession, 21), hold(Holder::NoSession, 20)];
    assert!(budget.drop_body(&budget.bodies_by_holder(), None));
    assert!(of_nobody[1].dropped.is_cancelled(), "61 bytes of no session");
    assert!(![&kept.0, &kept.1, &kept.2].iter().any(|body| body.dropped.is_cancelled()));
    assert!(budget.drop_body(&budget.bodies_by_holder(), None));
    assert!(kept.0.dropped.is_cancelled(), "a session's 50, and lines of 40 each");
}

#[tokio::test(start_paused = true)]
async fn a_budget_comes_to_rest_after_much_was_given_back_and_not_after_little() {
    let budget = Budget::new(1 << 20);
    let waited = |budget: std::sync::Arc<Budget>| async move {
        tokio::time::timeout(REST * 10, budget.at_rest()).await.is_ok()
    };
    budget.add(MUCH - 1);
    budget.give_back(MUCH - 1);
    assert!(!waited(budget.clone()).await);
    budget.add(MUCH);
    assert!(!waited(budget.clone()).await, "it is still held");
    budget.give_back(MUCH);
    budget.add(MUCH);
    budget.give_back(MUCH);
    assert!(waited(budget.clone()).await);
    assert!(!waited(budget.clone()).await, "once");
    budget.add(MUCH);
    budget.give_back(MUCH);
    assert!(waited(budget).await, "and again");
}

#[test]
fn the_tables_of_a_proxy_may_hold_only_a_share_of_the_budget() {
    let budget = Budget::new(4 * 1000);
    let entry = budget.table_entry(500).unwrap();
    assert!(budget.table_entry(500 - ENTRY).is_none(), "an entry costs more than its texts");
    drop(entry);
    assert!(budget.table_entry(1000 - ENTRY).is_some());
    assert_eq!(budget.used(), 0);
}

#[test]
fn lines_for_servers_may_hold_only_a_share_of_the_budget_but_one_always_passes() {
    let budget = Budget::new(100);
    let server = budget.lines_of_server();
    assert!(budget.add_line(&server, 60), "one alone");
    assert!(!budget.add_line(&server, 1));
    budget.add_short_line(&server, 1);
    budget.give_back_lines(&server, 61);
    assert!(budget.add_line(&server, 30) && budget.add_line(&server, 20) && !budget.add_line(&server, 1));
    budget.give_back_lines(&server, 50);
    assert_eq!(budget.used(), 0);
}

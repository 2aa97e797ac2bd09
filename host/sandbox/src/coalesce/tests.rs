use super::*;

const MS: Duration = Duration::from_millis(1);

fn pace(gather: u32, interval: u32, max_items: usize) -> CallPace {
    CallPace { gather: MS * gather, interval: MS * interval, max_items, budget: None }
}

fn join(groups: &Arc<Groups>, item: &'static str, pace: CallPace) -> Member {
    groups.join("g", Bytes::from_static(item.as_bytes()), pace).unwrap()
}

async fn lead(member: &Member) -> Vec<(u64, Bytes)> {
    match member.next().await {
        Turn::Lead(items) => items,
        Turn::Settled(outcome) => panic!("settled: {outcome:?}"),
    }
}

async fn settled(member: &Member) -> Outcome {
    match member.next().await {
        Turn::Settled(outcome) => outcome,
        Turn::Lead(items) => panic!("leads {items:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_many_makes_the_call_for_all() {
    let groups = Arc::new(Groups::default());
    let start = Instant::now();
    let members: Vec<Member> = ["a", "b", "c"].map(|item| join(&groups, item, pace(30, 0, 100))).into();
    let waiting: Vec<_> = members
        .into_iter()
        .map(|member| {
            tokio::spawn(async move {
                match member.next().await {
                    Turn::Settled(outcome) => (false, outcome),
                    Turn::Lead(items) => {
                        for (ticket, item) in items {
                            assert!(member.settle(ticket, Ok(item)));
                        }
                        (true, settled(&member).await)
                    }
                }
            })
        })
        .collect();
    let mut led = 0;
    for (waiting, item) in waiting.into_iter().zip(["a", "b", "c"]) {
        let (is_leader, outcome) = waiting.await.unwrap();
        led += u32::from(is_leader);
        assert_eq!(outcome.unwrap(), item);
    }
    assert_eq!((led, start.elapsed()), (1, MS * 30));
    let state = groups.state();
    assert!(state.groups.is_empty() && state.bytes == 0, "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn a_full_call_waits_for_nobody_and_the_rest_is_next() {
    let groups = Arc::new(Groups::default());
    let start = Instant::now();
    let [a, b, c] = ["a", "b", "c"].map(|item| join(&groups, item, pace(1000, 5, 2)));
    assert_eq!(lead(&a).await.len(), 2);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _ = tokio::time::timeout(MS, b.next()).await.expect_err("a leads");
    drop((a, b));
    let items = lead(&c).await;
    assert_eq!(items[0].1, "c");
    assert_eq!(start.elapsed(), MS * 1000, "it is new, so it gathers");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_settled_is_handed_out_at_the_next_interval_with_who_came_meanwhile() {
    let groups = Arc::new(Groups::default());
    let start = Instant::now();
    let a = join(&groups, "a", pace(0, 1000, 100));
    assert_eq!(lead(&a).await.len(), 1);
    let b = join(&groups, "b", pace(0, 1000, 100));
    let items = lead(&a).await;
    assert_eq!((items.len(), start.elapsed()), (2, MS * 1000));
    assert!(a.settle(items[1].0, Ok(Bytes::from_static(b"done"))));
    assert_eq!(settled(&b).await.unwrap(), "done");
    assert_eq!(lead(&a).await.len(), 1);
    assert_eq!(start.elapsed(), MS * 2000);
}

#[tokio::test(start_paused = true)]
async fn when_a_leader_is_gone_another_leads() {
    let groups = Arc::new(Groups::default());
    let [a, b] = ["a", "b"].map(|item| join(&groups, item, pace(0, 0, 100)));
    assert_eq!(lead(&a).await.len(), 2);
    let next = tokio::spawn(async move { lead(&b).await });
    tokio::task::yield_now().await;
    assert!(!next.is_finished(), "a leads");
    drop(a);
    assert_eq!(next.await.unwrap()[0].1, "b");
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_settles_and_only_what_it_was_handed() {
    let groups = Arc::new(Groups::default());
    let [a, b] = ["a", "b"].map(|item| join(&groups, item, pace(0, 0, 1)));
    let items = lead(&a).await;
    let own = items[0].0;
    assert!(!b.settle(own, Ok(Bytes::new())), "b does not lead");
    assert!(!a.settle(own + 1, Ok(Bytes::new())), "b's item was not handed out");
    assert!(!a.settle(own + 2, Ok(Bytes::new())), "no such item");
    assert!(a.settle(own, Ok(Bytes::new())));
    assert!(!a.settle(own, Ok(Bytes::new())), "it is settled");
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_over_all_groups() {
    let groups = Arc::new(Groups::default());
    let start = Instant::now();
    let budget = Budget { name: "globus".into(), calls: 3, per: MS * 1000 };
    let mut led = Vec::new();
    for n in 0..7 {
        let pace = CallPace { budget: Some(budget.clone()), ..pace(0, 0, 1) };
        let member = groups.join(&format!("g{n}"), Bytes::new(), pace).unwrap();
        lead(&member).await;
        led.push(start.elapsed().as_millis());
    }
    assert_eq!(led, [0, 0, 0, 1000, 1000, 1000, 2000]);
}

#[tokio::test]
async fn what_groups_hold_is_limited_and_given_back() {
    let groups = Arc::new(Groups::default());
    let large = || Bytes::from(vec![0; MAX_BYTES / 4]);
    let members: Vec<Member> = (0..4).map(|_| groups.join("g", large(), pace(0, 0, 9)).unwrap()).collect();
    assert_eq!(groups.join("g", large(), pace(0, 0, 9)).map(drop), Err(JoinError::Full));
    assert_eq!(
        groups.join(&"g".repeat(300), Bytes::new(), pace(0, 0, 9)).map(drop),
        Err(JoinError::TooLarge)
    );
    let items = lead(&members[0]).await;
    assert!(members[0].settle(items[1].0, Ok(large())));
    let outcome = settled(&members[1]).await;
    assert_eq!(outcome.unwrap_err().code, "too_large");
    drop(members);
    assert_eq!(groups.state().bytes, 0);
}

//! Generators of any value that a record, an owner or a lock may have.
use jiff::Timestamp;
use proptest::{option, prelude::*, sample::select};
use wharf_model::{
    BootId, Desired, LastExit, Owner, Phase, ProcessIdentity, RestartPolicy, RunConfig, StatusRecord,
    Transport, Uid, WorkloadName,
};
use wharf_model::{Evidence, Inputs, Locks, Resource};
use wharf_sdk::{Exit, Observation, WorkloadState};

const POLICIES: [RestartPolicy; 4] =
    [RestartPolicy::No, RestartPolicy::OnFailure, RestartPolicy::Always, RestartPolicy::UnlessStopped];
const TRANSPORTS: [Transport; 3] = [Transport::Stdio, Transport::StreamableHttp, Transport::Sse];
const STATES: [WorkloadState; 5] = [
    WorkloadState::Created,
    WorkloadState::Running,
    WorkloadState::Stopped,
    WorkloadState::Removing,
    WorkloadState::Unknown,
];

pub(crate) fn uid(number: u8) -> Uid {
    format!("{number:032x}").parse().unwrap()
}

pub(crate) fn boot(number: u8) -> BootId {
    BootId::from_text(&format!("boot {number}"))
}

/// Any moment: clocks are stepped, and records come from other machines.
pub(crate) fn moment() -> impl Strategy<Value = Timestamp> {
    let seconds = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    seconds.prop_map(|second| Timestamp::from_second(second).unwrap())
}

pub(crate) fn config() -> impl Strategy<Value = RunConfig> {
    (select(&POLICIES[..]), select(&TRANSPORTS[..]), option::of(moment())).prop_map(
        |(restart, transport, created_at)| {
            let mut config = RunConfig::new(uid(1), WorkloadName::new("time").unwrap(), "uvx://time");
            (config.restart, config.transport, config.created_at) = (restart, transport, created_at);
            config
        },
    )
}

/// A record of the workload of [`config`].
pub(crate) fn record() -> impl Strategy<Value = StatusRecord> {
    let supervisor = (1..=i32::MAX, any::<u64>(), 0_u8..2)
        .prop_map(|(pid, start_time, number)| ProcessIdentity { pid, start_time, boot_id: boot(number) });
    let last_exit = (option::of(any::<i32>()), option::of(any::<i32>()), moment())
        .prop_map(|(code, signal, at)| LastExit { code, signal, at, reason: None });
    let times = (moment(), moment(), option::of(moment()));
    let facts = (option::of(supervisor), option::of(last_exit), any::<u32>(), any::<u64>(), ".{0,8}");
    (select(&Phase::ALL[..]), any::<bool>(), times, facts).prop_map(|(phase, wanted, times, facts)| {
        let mut record = StatusRecord::new(uid(1));
        record.phase = phase;
        record.desired = if wanted { Desired::Running } else { Desired::Stopped };
        (record.created_at, record.updated_at, record.started_at) = times;
        record.set_supervisor(facts.0);
        (record.last_exit, record.restarts, record.revision, record.status_context) =
            (facts.1, facts.2, facts.3, facts.4);
        record
    })
}

pub(crate) fn exit() -> impl Strategy<Value = Exit> {
    let code = option::of(prop_oneof![Just(0), any::<i32>()]);
    (code, option::of(any::<i32>()), option::of(any::<u64>()), ".{0,8}")
        .prop_map(|(code, signal, at_ms, reason)| Exit { code, signal, at_ms, reason, restarts: false })
}

pub(crate) fn observation() -> impl Strategy<Value = Observation> {
    (1_u8..4, select(&STATES[..]), option::of(exit()), option::of(any::<u64>()), "[a-z]{0,4}").prop_map(
        |(number, state, exit, started_at_ms, object)| Observation {
            uid: uid(number).to_string(),
            host_id: "ours".to_owned(),
            handle: None,
            parent: None,
            object,
            state,
            exit,
            started_at_ms,
            address: None,
            confinement: None,
            condition: wharf_sdk::Condition::default(),
        },
    )
}

pub(crate) fn evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![
        3 => observation().prop_map(Evidence::of),
        1 => Just(Evidence::HasNot),
        1 => ".{1,8}".prop_map(Evidence::Missing),
        1 => Just(Evidence::Remote),
    ]
}

pub(crate) fn locks() -> impl Strategy<Value = Locks> {
    any::<(bool, bool)>().prop_map(|(operation_held, life_held)| Locks { operation_held, life_held })
}

pub(crate) fn witnesses() -> impl Strategy<Value = Inputs> {
    (evidence(), locks(), 0_u8..2).prop_map(|(evidence, locks, number)| Inputs {
        evidence,
        life_held: locks.life_held,
        operation_held: locks.operation_held,
        boot: boot(number),
    })
}

/// Resources that runtimes show, some of them of one uid.
pub(crate) fn resources() -> impl Strategy<Value = Vec<Resource>> {
    let owner = select(&["docker", "podman", "process"][..]).prop_map(|name| Owner {
        runtime_name: name.to_owned(),
        runtime_instance: format!("{name} here"),
        runtime_endpoint: String::new(),
    });
    let resource = (owner, observation()).prop_map(|(owner, seen)| Resource { owner, seen });
    proptest::collection::vec(resource, 0..4)
}

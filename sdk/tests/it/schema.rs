//! The published schema of the documents must match the types.
//!
//! `WHARF_UPDATE_SCHEMA=1 cargo test -p wharf-sdk --test it schema` writes the file anew.
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{env, fs, path::Path};
use wharf_sdk::document::{ConnectDocument, Envelope, Event, LogRecord, Nothing, OnWorkload, operation};
use wharf_sdk::stamp::Stamp;
use wharf_sdk::{
    Confinement, DialOptions, Error, Exit, ForeignListing, Handle, Health, Instance, LabelSelector,
    ListQuery, Listing, LogOptions, NetworkVerdict, Observation, Pins, StopOptions, WorkloadSpec,
};

struct Operations {
    generator: SchemaGenerator,
    table: Map<String, Value>,
}

impl Operations {
    /// An operation with its request and its answer, each in its envelope.
    fn add<Q: JsonSchema, A: JsonSchema>(&mut self, name: &str) {
        let request = self.generator.subschema_for::<Envelope<Q>>();
        let answer = self.generator.subschema_for::<Envelope<A>>();
        self.table.insert(name.to_owned(), json!({ "request": request, "answer": answer }));
    }

    /// An operation that opens a stream of bytes.
    fn add_stream<Q: JsonSchema>(&mut self, name: &str) {
        let request = self.generator.subschema_for::<Envelope<Q>>();
        self.table.insert(name.to_owned(), json!({ "request": request, "answer": "a stream of bytes" }));
    }
}

fn generated() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut operations = Operations { generator, table: Map::new() };
    operations.add::<Nothing, Instance>(operation::INSTANCE);
    operations.add::<Nothing, Health>(operation::HEALTH);
    operations.add::<WorkloadSpec, Nothing>(operation::VALIDATE);
    operations.add::<WorkloadSpec, Handle>(operation::DEPLOY);
    operations.add::<OnWorkload, Nothing>(operation::START);
    operations.add::<OnWorkload<StopOptions>, Nothing>(operation::STOP);
    operations.add::<OnWorkload, Nothing>(operation::REMOVE);
    operations.add::<OnWorkload, Observation>(operation::INSPECT);
    operations.add::<ListQuery, Listing>(operation::LIST);
    operations.add::<Nothing, Confinement>(operation::CONFINEMENT);
    operations.add::<WorkloadSpec, Pins>(operation::PIN);
    operations.add::<LabelSelector, ForeignListing>(operation::DISCOVER);
    operations.add::<Nothing, NetworkVerdict>(operation::PROBE_NETWORK);
    operations.add::<OnWorkload, Exit>(operation::WAIT);
    operations.add::<OnWorkload, Observation>(operation::RECOVER);
    operations.add_stream::<OnWorkload<LogOptions>>(operation::LOGS);
    operations.add_stream::<OnWorkload>(operation::ATTACH);
    operations.add_stream::<OnWorkload<DialOptions>>(operation::DIAL);
    let Operations { mut generator, table } = operations;
    let stamp = generator.subschema_for::<Stamp>();
    let connect = generator.subschema_for::<Envelope<ConnectDocument>>();
    let error = generator.subschema_for::<Error>();
    let notifications = json!({
        "log": generator.subschema_for::<LogRecord>(),
        "event": generator.subschema_for::<Event>(),
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The documents between wharf and its runtime plugins, version 2",
        "description": "Made from the types of wharf-sdk (sdk/tests/it/schema.rs); do not edit.",
        "stamp": stamp,
        "connect": connect,
        "operations": table,
        "error": error,
        "notifications": notifications,
        "$defs": generator.take_definitions(true),
    })
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/wharf-runtime-v2.json");
    let generated = generated();
    if env::var_os("WHARF_UPDATE_SCHEMA").is_some() {
        let mut text = serde_json::to_string_pretty(&generated).unwrap();
        text.push('\n');
        #[expect(clippy::disallowed_methods, reason = "a file of the sources, not a record")]
        fs::write(&path, &text).unwrap();
    }
    // Compared by value: the order of the keys depends on serde_json's features, which other packages of a build may
    // enable.
    let published: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        published == generated,
        "{} is not what the types are; run: WHARF_UPDATE_SCHEMA=1 cargo test -p wharf-sdk --test it schema",
        path.display()
    );
}

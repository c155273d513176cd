//! The tools of a server: how they are listed and compared, whoever is asked.
use crate::Result;
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};

/// The most pages that a list may have.
const PAGES_MAX: usize = 100;
/// How long a list may change after the start, and how long it is to stay as it is.
const SETTLING: Duration = Duration::from_secs(20);
const STEADY: Duration = Duration::from_millis(500);
/// Of the differences, that many are told by name.
const TOLD_MAX: usize = 3;

/// What a start brought.
pub(crate) struct Started {
    /// From the beginning to the answer to `initialize`.
    pub(crate) ready: Duration,
    pub(crate) tools: Tools,
}

/// The tools of a server in the order of their names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tools(Vec<Tool>);

/// A tool's name, and its schemas for arguments and results.
#[derive(Clone, Debug, PartialEq)]
struct Tool {
    name: String,
    input: Value,
    output: Value,
}

impl Tools {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All pages of the list; `request` is given the parameters of `tools/list`.
    fn listed(request: &mut impl FnMut(&Value) -> Result<Value>) -> Result<Self> {
        let mut tools = Vec::new();
        let mut params = json!({});
        for _ in 0..PAGES_MAX {
            let page = request(&params)?;
            for tool in page["tools"].as_array().ok_or("its answer to tools/list has no tools")? {
                let name = tool["name"].as_str().ok_or("a tool has no name")?.to_owned();
                tools.push(Tool {
                    name,
                    input: tool["inputSchema"].clone(),
                    output: tool["outputSchema"].clone(),
                });
            }
            if page["nextCursor"].is_null() {
                tools.sort_by(|one, other| one.name.cmp(&other.name));
                return Ok(Self(tools));
            }
            params = json!({ "cursor": page["nextCursor"] });
        }
        Err(format!("its list of tools has more than {PAGES_MAX} pages").into())
    }
}

/// The tools once the list stays as it is: a server may add some after its start.
pub(crate) fn settled(mut request: impl FnMut(&Value) -> Result<Value>) -> Result<Tools> {
    let until = Instant::now() + SETTLING;
    let mut last = Tools::listed(&mut request)?;
    loop {
        thread::sleep(STEADY);
        let now = Tools::listed(&mut request)?;
        if now == last || Instant::now() > until {
            return Ok(now);
        }
        last = now;
    }
}

/// What is not the same; nothing where all is.
pub(crate) fn differences(directly: &Tools, through: &Tools) -> Vec<String> {
    let (Tools(directly), Tools(through)) = (directly, through);
    let missing = |from: &[Tool], tool: &Tool| !from.iter().any(|other| other.name == tool.name);
    let differs =
        |tool: &Tool| through.iter().any(|other| other.name == tool.name) && !through.contains(tool);
    let kinds: [(&str, Vec<&Tool>); 3] = [
        ("only directly", directly.iter().filter(|tool| missing(through, tool)).collect()),
        ("only through wharf", through.iter().filter(|tool| missing(directly, tool)).collect()),
        ("another schema", directly.iter().filter(|tool| differs(tool)).collect()),
    ];
    let mut found: Vec<String> = kinds
        .into_iter()
        .filter(|(_, tools)| !tools.is_empty())
        .map(|(kind, tools)| told(kind, &tools))
        .collect();
    if found.is_empty() && directly != through {
        found.push("a name that several tools have".to_owned());
    }
    found
}

/// The first of these tools, and how many there are.
fn told(kind: &str, tools: &[&Tool]) -> String {
    let names: Vec<String> =
        tools.iter().take(TOLD_MAX).map(|tool| tool.name.escape_debug().to_string()).collect();
    let more =
        if tools.len() > TOLD_MAX { format!(" and {} more", tools.len() - TOLD_MAX) } else { String::new() };
    format!("{kind}: {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(listed: &Value) -> Tools {
        Tools::listed(&mut |_| Ok(json!({ "tools": listed }))).unwrap()
    }

    #[test]
    fn tools_are_the_same_in_any_order_and_differ_by_name_and_by_schema() {
        let one = json!({ "name": "one", "inputSchema": { "type": "object" }, "description": "x" });
        let two = json!({ "name": "two", "inputSchema": {} });
        let other = json!({ "name": "two", "inputSchema": {}, "outputSchema": { "type": "object" } });
        let all = tools(&json!([one, two]));
        assert_eq!(differences(&all, &tools(&json!([two, one]))), Vec::<String>::new());
        assert_eq!(differences(&all, &tools(&json!([one]))), ["only directly: two"]);
        assert_eq!(differences(&tools(&json!([one])), &all), ["only through wharf: two"]);
        assert_eq!(differences(&all, &tools(&json!([one, other]))), ["another schema: two"]);
        assert_eq!(differences(&all, &tools(&json!([one, two, two]))), ["a name that several tools have"]);
        let many: Vec<Value> = (0..5).map(|number| json!({ "name": format!("t{number}") })).collect();
        let said = differences(&tools(&json!(many)), &tools(&json!([])));
        assert_eq!(said, ["only directly: t0, t1, t2 and 2 more"]);
    }

    #[test]
    fn all_pages_are_read_and_no_more_than_there_may_be() {
        let page = |params: &Value| match params["cursor"].as_str() {
            None => json!({ "tools": [{ "name": "b" }], "nextCursor": "2" }),
            Some(_) => json!({ "tools": [{ "name": "a" }] }),
        };
        let tools = Tools::listed(&mut |params| Ok(page(params))).unwrap();
        assert_eq!(tools.0.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let endless = Tools::listed(&mut |_| Ok(json!({ "tools": [], "nextCursor": "x" })));
        assert!(endless.unwrap_err().to_string().contains("pages"));
        assert!(Tools::listed(&mut |_| Ok(json!({}))).is_err());
    }

    #[test]
    fn tools_that_are_added_after_the_start_are_seen() {
        let mut asked = 0;
        let tools = settled(|_| {
            asked += 1;
            Ok(json!({ "tools": vec![json!({ "name": "late" }); usize::from(asked > 1)] }))
        });
        assert_eq!((tools.unwrap().len(), asked), (1, 3));
    }
}

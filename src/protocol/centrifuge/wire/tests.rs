//! The schema and the types say the same.

use std::fmt::Write as _;
use syn::{Attribute, Field, GenericArgument, Item, PathArguments, Type};

/// Returns the messages of a file of types as Protobuf would declare them.
fn declared(source: &str) -> String {
    let file = syn::parse_file(source).unwrap();
    let mut text = String::new();
    for item in file.items {
        let Item::Struct(message) = item else { continue };
        writeln!(text, "message {} {{", message.ident).unwrap();
        for field in &message.fields {
            writeln!(text, "  {};", declaration(field)).unwrap();
        }
        text.push_str("}\n");
    }
    text
}

fn declaration(field: &Field) -> String {
    let attribute = field.attrs.iter().find(|attribute| attribute.path().is_ident("prost")).unwrap();
    let arguments = arguments(attribute);
    let [kind @ .., tag] = &arguments[..] else { panic!("no tag: {arguments:?}") };
    let kind = match kind.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["message", "optional"] => inner(&field.ty, 0),
        ["message", "repeated"] => format!("repeated {}", inner(&field.ty, 0)),
        ["bytes=\"bytes\""] => "bytes".to_owned(),
        ["btree_map=\"string,string\""] => "map<string, string>".to_owned(),
        ["btree_map=\"string,message\""] => format!("map<string, {}>", inner(&field.ty, 1)),
        [scalar] => scalar.to_owned(),
        _ => panic!("unknown: {arguments:?}"),
    };
    let name = field.ident.as_ref().unwrap().to_string();
    let tag = tag.strip_prefix("tag=").unwrap().trim_matches('"');
    format!("{kind} {} = {tag}", name.trim_start_matches("r#"))
}

/// Returns what stands between the parentheses: `message`, `optional`, `tag="4"`.
fn arguments(attribute: &Attribute) -> Vec<String> {
    let list = attribute.meta.require_list().unwrap();
    let mut arguments = vec![String::new()];
    for token in list.tokens.clone() {
        match token.to_string().as_str() {
            "," => arguments.push(String::new()),
            token => arguments.last_mut().unwrap().push_str(&token.replace(' ', "")),
        }
    }
    arguments
}

/// Returns the name of a type argument: `Option<Error>` has `Error` at 0.
fn inner(outer: &Type, at: usize) -> String {
    let Type::Path(path) = outer else { panic!("not a path") };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last().unwrap().arguments else {
        panic!("no type arguments")
    };
    let GenericArgument::Type(Type::Path(path)) = &arguments.args[at] else { panic!("not a type") };
    path.path.segments.last().unwrap().ident.to_string()
}

/// Who writes a client for this hub reads the schema.
#[test]
fn schema_and_types_are_equal() {
    let schema = include_str!("../schema.proto");
    let is_declaration =
        |line: &&str| !line.is_empty() && !["//", "syntax", "package"].iter().any(|start| line.starts_with(start));
    let schema: Vec<_> = schema.lines().filter(is_declaration).collect();
    let types = declared(include_str!("command.rs")) + &declared(include_str!("reply.rs"));
    assert_eq!(schema, types.lines().collect::<Vec<_>>());
}

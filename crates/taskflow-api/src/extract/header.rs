//! How a header that may be left out stands in the OpenAPI document. What it means is its extractor's.

use aide::generate::GenContext;
use aide::openapi::{
    HeaderStyle, Operation, Parameter, ParameterData, ParameterSchemaOrContent, SchemaObject,
};
use aide::operation::add_parameters;

/// Adds the header to an operation.
pub(super) fn optional(
    context: &mut GenContext,
    operation: &mut Operation,
    (name, about): (&str, &str),
    json_schema: schemars::Schema,
) {
    let schema = SchemaObject { json_schema, external_docs: None, example: None };
    let parameter_data = ParameterData {
        name: name.into(),
        description: Some(about.into()),
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(schema),
        example: None,
        examples: Default::default(),
        explode: None,
        extensions: Default::default(),
    };
    let style = HeaderStyle::Simple;
    add_parameters(context, operation, [Parameter::Header { parameter_data, style }]);
}

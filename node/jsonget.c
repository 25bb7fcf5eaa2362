#include "node/jsonget.h"

const char *jtext(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

uint64_t jnumber(const json_t *object, const char *key)
{
	const json_int_t number = json_integer_value(json_object_get(object, key));
	return number > 0 ? (uint64_t)number : 0;
}

bool jbool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/*
 * Hooktool is the client side of Juju's hook tools: the program that a unit's tools
 * directory links config-get, relation-set and the rest to, installed there as jujuc. The
 * name it is called by says which tool to run; the unit agent runs it and sends back output
 * and exit code. It speaks to agents of Juju 2.9 to 3.6: net/rpc's protocol, whose values
 * encoding/gob writes. The test beside it has both at the other end.
 *
 * It is no Go program because a hook runs a dozen of these: a Go program begins with 170 page
 * faults, this one with 4, and what hook tools took to begin was a fifth of all that a lab did.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* No tool prints as much, in bytes. */
#define LONGEST (64u << 20)

/* Text is bytes with their length: arguments and answers may hold any. */
struct text {
	char *at;
	size_t length;
};

static void write_all(int to, const char *at, size_t length)
{
	while (length > 0) {
		ssize_t n = write(to, at, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			exit(1); /* nobody is left to tell */
		at += n;
		length -= n;
	}
}

/* fail ends the program with an error's text as Juju's tools write it. */
static _Noreturn void fail(struct text why)
{
	write_all(2, "ERROR ", 6);
	write_all(2, why.at, why.length);
	write_all(2, "\n", 1);
	exit(1);
}

static struct text text(const char *s) { return (struct text){(char *)s, s ? strlen(s) : 0}; }

/* add appends to a growing text. */
static void add(struct text *to, const void *at, size_t length)
{
	char *more = realloc(to->at, to->length + length + 1);
	if (!more)
		fail(text("cannot get memory"));
	if (length > 0)
		memcpy(more + to->length, at, length);
	*to = (struct text){more, to->length + length};
}

/* because fails with what errno says. */
static _Noreturn void because(const char *what)
{
	struct text why = {0}, cause = text(strerror(errno));
	add(&why, what, strlen(what));
	add(&why, ": ", 2);
	add(&why, cause.at, cause.length);
	fail(why);
}

/* A number: itself below 128, otherwise how many bytes follow, negated, and they. */
static void add_number(struct text *to, uint64_t n)
{
	unsigned char bytes[9];
	int size = 0;
	if (n < 128) {
		bytes[0] = n;
		add(to, bytes, 1);
		return;
	}
	while (size < 8 && n >> (8 * size))
		size++;
	bytes[0] = -size;
	for (int i = 0; i < size; i++)
		bytes[1 + i] = n >> (8 * (size - 1 - i));
	add(to, bytes, 1 + size);
}

static void add_text(struct text *to, struct text s)
{
	add_number(to, s.length);
	add(to, s.at, s.length);
}

/*
 * A value of a struct: its type's number, doubled, then before each field how many fields on it
 * is, and 0 at the end. Fields that are zero are left out.
 */
struct value {
	struct text message;
	int skipped;
};

static struct value begin(int type)
{
	struct value v = {0};
	add_number(&v.message, 2 * type);
	return v;
}

/* next counts a field; it says whether the field is written. */
static int next(struct value *v, int written)
{
	v->skipped++;
	if (written) {
		add_number(&v->message, v->skipped);
		v->skipped = 0;
	}
	return written;
}

static void number_field(struct value *v, uint64_t n)
{
	if (next(v, n != 0))
		add_number(&v->message, n);
}

static void text_field(struct value *v, struct text s)
{
	if (next(v, s.length > 0))
		add_text(&v->message, s);
}

/* end appends a value, after its length, to what is sent. */
static void end(struct value *v, struct text *to)
{
	add(&v->message, "", 1);
	add_text(to, v->message);
	free(v->message.at);
}

/* The numbers that the definitions below give to the types. */
enum { HEAD = 65, REQUEST = 66 };

/*
 * What gob writes before the first values: net/rpc's Request{ServiceMethod string; Seq uint},
 * Juju's Request{ContextId, Dir, CommandName string; Args []string; StdinSet bool; Stdin []byte;
 * Token string}, and []string.
 */
static const char definitions[] =
	"/\377\201\003\001\001\007Request\001\377\202\000\001\002\001\015ServiceMethod\001\014\000\001\003Seq\001\006\000\000\000"
	"f\377\203\003\001\001\007Request\001\377\204\000\001\007\001\011ContextId\001\014\000\001\003Dir\001\014\000"
	"\001\013CommandName\001\014\000\001\004Args\001\377\206\000\001\010StdinSet\001\002\000\001\005Stdin\001\012\000"
	"\001\005Token\001\014\000\000\000"
	"\026\377\205\002\001\001\010[]string\001\377\206\000\001\014\000\000";

static const char garbled[] = "cannot read the unit agent's answer: not what gob writes";

/* take reads so many bytes. */
static void take(int from, char *at, size_t length)
{
	while (length > 0) {
		ssize_t n = read(from, at, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			because("cannot read the unit agent's answer");
		if (n == 0)
			fail(text("cannot read the unit agent's answer: it ends early"));
		at += n;
		length -= n;
	}
}

/* cut_number takes a number from the front of a message. */
static uint64_t cut_number(struct text *m)
{
	uint64_t n = 0;
	size_t size;
	unsigned char first;
	if (m->length == 0)
		fail(text(garbled));
	first = *m->at++;
	m->length--;
	if (first < 128)
		return first;
	size = 256 - first;
	if (size > 8 || size > m->length)
		fail(text(garbled));
	for (; size > 0; size--, m->length--)
		n = n << 8 | (unsigned char)*m->at++;
	return n;
}

static struct text read_message(int from)
{
	char first[9];
	struct text length = {first, 1}, m;
	take(from, first, 1);
	if ((unsigned char)first[0] >= 128) {
		length.length += 256 - (unsigned char)first[0];
		if (length.length > sizeof first)
			fail(text(garbled));
		take(from, first + 1, length.length - 1);
	}
	uint64_t n = cut_number(&length);
	if (n > LONGEST)
		fail(text(garbled));
	m = (struct text){malloc(n + 1), n};
	if (!m.at)
		fail(text("cannot get memory"));
	take(from, m.at, n);
	return m;
}

/* A field of an answer: a number, or a text of that length. */
struct field {
	int is_text;
	uint64_t number;
	char *at;
};

/* read_value reads the next value's fields; definitions, whose types are negative, are skipped. */
static void read_value(int from, struct field *fields, size_t count)
{
	struct text m;
	uint64_t skip;
	size_t field = 0; /* one past the last that was read */
	do {
		m = read_message(from);
	} while (cut_number(&m) & 1);
	while ((skip = cut_number(&m)) > 0) {
		if (skip > count - field)
			fail(text(garbled));
		field += skip;
		struct field *f = &fields[field - 1];
		f->number = cut_number(&m);
		if (!f->is_text)
			continue;
		if (f->number > m.length)
			fail(text(garbled));
		f->at = m.at;
		m.at += f->number;
		m.length -= f->number;
	}
}

/* A request to run a tool. */
struct request {
	struct text context, dir, tool, token;
	char **args;
	int count;
	struct text *input; /* null for none, which is not empty input */
};

static void send_request(int to, int sequence, const struct request *r)
{
	struct text call = {0};
	if (sequence == 0)
		add(&call, definitions, sizeof definitions - 1);
	struct value head = begin(HEAD);
	text_field(&head, text("Jujuc.Main"));
	number_field(&head, sequence);
	end(&head, &call);

	struct value v = begin(REQUEST);
	text_field(&v, r->context);
	text_field(&v, r->dir);
	text_field(&v, r->tool);
	if (next(&v, r->count > 0)) {
		add_number(&v.message, r->count);
		for (int i = 0; i < r->count; i++)
			add_text(&v.message, text(r->args[i]));
	}
	number_field(&v, r->input != NULL);
	text_field(&v, r->input ? *r->input : (struct text){0});
	text_field(&v, r->token);
	end(&v, &call);
	for (size_t sent = 0; sent < call.length;) {
		ssize_t n = send(to, call.at + sent, call.length - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			because("cannot ask unit agent");
		sent += n;
	}
	free(call.at);
}

/* refused reads net/rpc's Response{ServiceMethod string; Seq uint; Error string}. */
static struct text refused(int from)
{
	struct field head[] = {{.is_text = 1}, {0}, {.is_text = 1}};
	read_value(from, head, 3);
	return (struct text){head[2].at, head[2].number};
}

static int same(struct text a, const char *b) { return a.length == strlen(b) && memcmp(a.at, b, a.length) == 0; }

/* dial connects to a socket, in the file system or, after an @, abstract. */
static int dial(const char *address)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length = strlen(address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		because("cannot reach unit agent");
	if (length >= sizeof to.sun_path)
		fail(text("cannot reach unit agent: the path of its socket is too long"));
	memcpy(to.sun_path, address, length);
	if (address[0] == '@')
		to.sun_path[0] = 0;
	else
		length++;
	if (connect(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + length) < 0)
		because("cannot reach unit agent");
	return fd;
}

static struct text read_input(void)
{
	static char part[65536];
	struct text all = {0};
	for (;;) {
		ssize_t n = read(0, part, sizeof part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			because("cannot read standard input");
		if (n == 0)
			return all;
		add(&all, part, n);
	}
}

int main(int argc, char **argv)
{
	const char *address = getenv("JUJU_AGENT_SOCKET_ADDRESS"), *network = getenv("JUJU_AGENT_SOCKET_NETWORK");
	const char *slash = strrchr(argv[0], '/');
	struct request r = {
		.context = text(getenv("JUJU_CONTEXT_ID")), .token = text(getenv("JUJU_AGENT_TOKEN")),
		.tool = text(slash ? slash + 1 : argv[0]), .args = argv + 1, .count = argc - 1,
	};
	if (r.context.length == 0 || !address || !*address)
		fail(text("JUJU_CONTEXT_ID or JUJU_AGENT_SOCKET_ADDRESS not set: not in a hook"));
	if (network && *network && strcmp(network, "unix") != 0)
		fail(text("cannot reach unit agent: its socket is not a unix socket"));
	r.dir = text(getcwd(NULL, 0));
	if (!r.dir.at)
		because("cannot find working directory");
	int agent = dial(address);
	send_request(agent, 0, &r);
	struct text error = refused(agent);
	if (same(error, "hook tool requires stdin, none supplied")) {
		struct text input = read_input();
		read_value(agent, NULL, 0); /* what stands for a result */
		r.input = &input;
		send_request(agent, 1, &r);
		error = refused(agent);
	}
	if (error.length > 0)
		fail(error);
	/* Juju's ExecResponse{Code int; Stdout, Stderr []byte}. */
	struct field result[] = {{0}, {.is_text = 1}, {.is_text = 1}};
	read_value(agent, result, 3);
	write_all(1, result[1].at, result[1].number);
	write_all(2, result[2].at, result[2].number);
	uint64_t code = result[0].number >> 1; /* the lowest bit says that all others are inverted */
	return (int)(result[0].number & 1 ? ~code : code);
}

package docdb

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/juju/mgo/v3/bson"
)

// fault is an error as the protocol tells it (MongoDB's error_codes.yml).
type fault struct {
	code    int
	name    string
	message string
	// strange is what no correct client of a complete server meets; it is reported.
	strange bool
}

func (f *fault) Error() string { return f.message }

// errShutdown is told to who waits while the server or the connection ends.
var errShutdown = &fault{code: 11600, name: "InterruptedAtShutdown", message: "the connection ends"}

// unsupported is the error for what this server does not know.
func unsupported(what, name string) error {
	return &fault{code: 238, name: "NotImplemented", message: fmt.Sprintf("unsupported %s: %q", what, name), strange: true}
}

// badValue is the error for what no server understands.
func badValue(format string, args ...any) error {
	return &fault{code: 2, name: "BadValue", message: fmt.Sprintf(format, args...), strange: true}
}

// operation is a command that is being run.
type operation struct {
	server   *Server
	client   *client
	database string
	name     string
	target   string // the collection, where the command is for one
	body     []byte
	changes  *[]change // of its transaction, or its own outside of one
	failed   bool      // in part: the reply has errors
}

// namespace is that of the operation's collection.
func (op *operation) namespace() namespace { return namespace{op.database, op.target} }

// runner runs a command and returns the reply, which ok is added to.
type runner func(*operation) (bson.D, error)

// command is what this server knows to do, and where.
type command struct {
	run   runner
	place place
}

// place is what a command needs of the server.
type place int

const (
	anywhere      place = iota // nothing, or it takes mu itself
	outside                    // the turn and mu, and to be in no transaction
	either                     // the turn and mu, in a transaction or not
	waiting                    // as either in a transaction, as anywhere out of one
	inTransaction              // a transaction
)

// noOptions is for commands without options of their own.
type noOptions struct{}

// commands are those that Juju's controller and mgo send.
var commands = map[string]command{
	"ismaster":          {decoded(isMaster), anywhere},
	"ping":              {decoded(acknowledge), anywhere},
	"getnonce":          {decoded(getNonce), anywhere},
	"buildInfo":         {decoded(buildInfo), anywhere},
	"startSession":      {decoded(startSession), anywhere},
	"endSessions":       {decoded(acknowledge), anywhere},
	"getMore":           {decoded(getMore), waiting},
	"killCursors":       {decoded(killCursors), anywhere},
	"commitTransaction": {decoded(commitTransaction), inTransaction},
	"abortTransaction":  {decoded(abortTransaction), inTransaction},
	"find":              {decoded(find), either},
	"insert":            {decoded(insert), either},
	"update":            {decoded(update), either},
	"delete":            {decoded(remove), either},
	"findAndModify":     {decoded(findAndModify), either},
	"count":             {decoded(count), outside},
	"aggregate":         {decoded(aggregate), outside},
	"create":            {decoded(create), outside},
	"createIndexes":     {decoded(createIndexes), outside},
	"collStats":         {decoded(collStats), outside},
	"convertToCapped":   {decoded(convertToCapped), outside},
	"drop":              {decoded(drop), outside},
}

// ignored are the options of any command that mean nothing to a single server in memory, or
// that are the envelope's.
var ignored = map[string]bool{
	"lsid": true, "txnNumber": true, "autocommit": true, "startTransaction": true,
	"readConcern": true, "writeConcern": true, "comment": true,
}

// respond runs a client's command and returns the reply, also where that is an error.
func (s *Server) respond(c *client, m message) bson.D {
	head, _, err := cutElement(m.command[4:])
	op := &operation{server: s, client: c, database: m.database, name: head.name, body: m.command}
	if err == nil && head.kind == kindString {
		op.target = string(head.value[4 : len(head.value)-1])
	}
	reply, err := op.run()
	if err == nil {
		return append(reply, document("ok", 1.0)...)
	}
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{code: 9, name: "FailedToParse", message: err.Error(), strange: true}
	}
	if f.strange {
		s.config.Report(fmt.Errorf("cannot run %s on %s: %w", op.name, op.namespace(), err))
	}
	return document("ok", 0.0, "errmsg", f.message, "code", f.code, "codeName", f.name)
}

// run runs the operation in the place that it needs.
func (op *operation) run() (bson.D, error) {
	known, ok := commands[op.name]
	if !ok {
		return nil, &fault{code: 59, name: "CommandNotFound", message: fmt.Sprintf("no such command: %q", op.name), strange: true}
	}
	var e envelope
	if err := bson.Unmarshal(op.body, &e); err != nil {
		return nil, fmt.Errorf("cannot read session of command: %w", err)
	}
	switch {
	case e.within() && known.place >= either:
		return op.server.inTransaction(op, e, known.run)
	case e.within() || known.place == inTransaction:
		return nil, unsupported("place, in or out of a transaction, of command", op.name)
	case known.place == anywhere || known.place == waiting:
		return known.run(op)
	}
	return op.server.alone(op, known.run)
}

// decoded makes a runner of a function that takes a command's options as a struct, with names
// in its bson tags. A command with any other option fails.
func decoded[T any](run func(*operation, T) (bson.D, error)) runner {
	return func(op *operation) (bson.D, error) {
		var args struct {
			Known T              `bson:",inline"`
			Other map[string]any `bson:",inline"`
		}
		if err := bson.Unmarshal(op.body, &args); err != nil {
			return nil, fmt.Errorf("cannot read options of command: %w", err)
		}
		maps.DeleteFunc(args.Other, func(name string, _ any) bool { return name == op.name || ignored[name] })
		if err := noOthers("option of "+op.name, args.Other); err != nil {
			return nil, err
		}
		return run(op, args.Known)
	}
}

// noOthers is the error for options that are unknown, if there are any.
func noOthers(what string, others map[string]any) error {
	if len(others) == 0 {
		return nil
	}
	return unsupported(what, strings.Join(slices.Sorted(maps.Keys(others)), ", "))
}

func acknowledge(*operation, noOptions) (bson.D, error) { return bson.D{}, nil }

// isMaster says that this is the only server, whose wire version is that of 4.4.
func isMaster(*operation, noOptions) (bson.D, error) {
	return document("ismaster", true, "minWireVersion", 0, "maxWireVersion", 9, "localTime", time.Now(),
		"maxBsonObjectSize", maxDocumentBytes, "maxMessageSizeBytes", maxMessageBytes, "maxWriteBatchSize", 100_000), nil
}

// buildInfo says the version; Juju needs 4 for server-side transactions.
func buildInfo(*operation, noOptions) (bson.D, error) {
	return document("version", "4.4.24", "versionArray", []int{4, 4, 24, 0}, "bits", 64, "maxBsonObjectSize", maxDocumentBytes), nil
}

// getNonce answers what mgo asks of every connection; nobody logs in with it.
func getNonce(*operation, noOptions) (bson.D, error) {
	return document("nonce", "0000000000000000"), nil
}

// startSession gives the client a name for a session. Sessions need not be kept.
func startSession(*operation, noOptions) (bson.D, error) {
	id := make([]byte, 16)
	rand.Read(id) // does not fail
	return document("id", document("id", bson.Binary{Kind: 4, Data: id}), "timeoutMinutes", 30), nil
}

type killCursorsCommand struct {
	Cursors []int64 `bson:"cursors"`
}

func killCursors(op *operation, args killCursorsCommand) (bson.D, error) {
	return document("cursorsKilled", op.server.kill(args.Cursors)), nil
}

type createCommand struct {
	Capped      bool  `bson:"capped"`
	Size        int64 `bson:"size"`
	Max         int64 `bson:"max"`
	AutoIndexID bool  `bson:"autoIndexId"`
}

func create(op *operation, args createCommand) (bson.D, error) {
	s := op.server
	if s.collections[op.namespace()] != nil {
		return nil, &fault{code: 48, name: "NamespaceExists", message: "collection already exists: " + op.namespace().String()}
	}
	c := newCollection(op.namespace())
	if args.Capped {
		c.capped = args.Size
	}
	s.collections[c.name] = c
	return bson.D{}, nil
}

type createIndexesCommand struct {
	Indexes []struct {
		Name   string `bson:"name"`
		Key    bson.D `bson:"key"`
		Unique bool   `bson:"unique"`
		Sparse bool   `bson:"sparse"`
		// What follows changes nothing here.
		Namespace          string         `bson:"ns"`
		Background         bool           `bson:"background"`
		ExpireAfterSeconds int            `bson:"expireAfterSeconds"`
		Other              map[string]any `bson:",inline"`
	} `bson:"indexes"`
}

func createIndexes(op *operation, args createIndexesCommand) (bson.D, error) {
	c := op.collection()
	for _, x := range args.Indexes {
		if err := noOthers("option of an index", x.Other); err != nil {
			return nil, err
		}
		if err := c.addIndex(x.Name, x.Key, x.Unique, x.Sparse); err != nil {
			return nil, err
		}
	}
	return bson.D{}, nil
}

// collection returns that of the operation, which is made if there is none.
func (op *operation) collection() *collection {
	c := op.server.collections[op.namespace()]
	if c == nil {
		c = newCollection(op.namespace())
		op.server.collections[c.name] = c
	}
	return c
}

// existing returns the operation's collection; it fails if there is none.
func (op *operation) existing() (*collection, error) {
	c := op.server.collections[op.namespace()]
	if c == nil {
		return nil, &fault{code: 26, name: "NamespaceNotFound", message: "ns not found: " + op.namespace().String()}
	}
	return c, nil
}

type collStatsCommand struct {
	Scale int64 `bson:"scale"` // bytes that sizes are told in
}

// collStats tells how large a collection is; as in 4.4 one that does not exist has no capped.
func collStats(op *operation, args collStatsCommand) (bson.D, error) {
	scale := max(args.Scale, 1)
	c, err := op.existing()
	if err != nil {
		return document("ns", op.namespace().String(), "size", 0, "count", 0), nil
	}
	var all batch
	for r := range c.all {
		if err := all.add(r.document); err != nil {
			return nil, err
		}
	}
	reply := document("ns", c.name.String(), "size", all.bytes/int(scale), "count", c.count, "capped", c.capped > 0)
	if c.capped > 0 {
		reply = append(reply, document("maxSize", int(c.capped/scale))...)
	}
	return reply, nil
}

type convertToCappedCommand struct {
	Size int64 `bson:"size"` // bytes
}

func convertToCapped(op *operation, args convertToCappedCommand) (bson.D, error) {
	c, err := op.existing()
	if err != nil {
		return nil, err
	}
	c.capped = args.Size
	return bson.D{}, nil
}

// drop forgets a collection. Real change streams tell of it, which Juju does not listen to.
func drop(op *operation, _ noOptions) (bson.D, error) {
	c, err := op.existing()
	if err != nil {
		return nil, err
	}
	delete(op.server.collections, c.name)
	return bson.D{}, nil
}

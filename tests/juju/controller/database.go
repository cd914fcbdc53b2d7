package controller

import (
	"fmt"
	"time"

	"github.com/juju/mgo/v3"

	"keepalived-charm/tests/docdb"
)

// openDatabase starts the database and returns a client of it.
func (c *Controller) openDatabase() (*mgo.Session, error) {
	db, err := docdb.Start(docdb.Config{Report: c.config.Report})
	if err != nil {
		return nil, err
	}
	c.onClose(db.Close)
	session, err := mgo.DialWithInfo(&mgo.DialInfo{
		Addrs: []string{db.Addr().String()}, Direct: true, Timeout: 30 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the database: %w", err)
	}
	// As in github.com/juju/juju/mongo/open.go.
	session.SetSocketTimeout(21 * time.Second)
	c.onClose(func() error { session.Close(); return nil })
	return session, nil
}

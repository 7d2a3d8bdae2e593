// Command go-sdk publishes the cases with the CloudEvents SDK for Go over sarama. It is a module of its own: the SDK is
// no part of the product. Arguments: the brokers, the topic, the mode, what every id begins with, the file of cases.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	kafka "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

type event struct {
	ID, Type, Source, Subject, DataContentType string

	Time       time.Time
	Data       any
	Base64     []byte
	Extensions map[string]any
}

func main() {
	brokers, topic, mode, prefix, file := strings.Split(os.Args[1], ","), os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	var events []event
	f, err := os.Open(file)
	check(err)
	decoder := json.NewDecoder(f)
	decoder.UseNumber() // every digit
	check(decoder.Decode(&events))

	sender, err := kafka.NewSender(brokers, sarama.NewConfig(), topic)
	check(err)
	client, err := cloudevents.NewClient(sender)
	check(err)
	ctx := binding.WithForceBinary(context.Background())
	if mode == "structured" {
		ctx = binding.WithForceStructured(context.Background())
	}
	for _, e := range events {
		to := ctx
		if key, ok := e.Extensions["partitionkey"].(string); ok {
			to = kafka.WithMessageKey(ctx, sarama.StringEncoder(key)) // the SDK leaves the key to its user
		}
		if result := client.Send(to, e.cloudEvent(prefix)); !cloudevents.IsACK(result) {
			log.Fatalf("send %s: %v", e.ID, result)
		}
	}
	check(sender.Close(ctx))
}

func (e event) cloudEvent(prefix string) cloudevents.Event {
	ce := cloudevents.NewEvent()
	ce.SetID(prefix + e.ID)
	ce.SetType(e.Type)
	ce.SetSource(e.Source)
	ce.SetSubject(e.Subject)
	ce.SetTime(e.Time)
	for name, v := range e.Extensions {
		if n, ok := v.(json.Number); ok {
			v = n.String() // the SDK refuses what a CloudEvents Integer, 32 bits, can't hold
			if i, err := strconv.ParseInt(n.String(), 10, 32); err == nil {
				v = i
			}
		}
		ce.SetExtension(name, v)
	}
	if e.Base64 != nil {
		e.Data = e.Base64
	}
	if e.Data != nil {
		check(ce.SetData(e.DataContentType, e.Data))
	}
	return ce
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

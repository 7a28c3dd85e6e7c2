module github.com/mgtv-tech/jetcache-go/tools

go 1.25.0
